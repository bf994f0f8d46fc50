"""Cutouts of the images that the rows of a spectrum were measured on: found, read and drawn without Qt."""
