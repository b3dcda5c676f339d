"""DIAG: defects painted by a pretrained diffusion model (thesis 2.1, 4.2)."""
