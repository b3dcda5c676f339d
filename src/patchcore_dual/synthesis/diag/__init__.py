"""DIAG: defects painted by a pre-trained diffusion model (thesis 2.1, 4.2)."""
