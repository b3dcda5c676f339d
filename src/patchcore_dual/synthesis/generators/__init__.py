"""The generators that need no diffusion model, and what they share."""
