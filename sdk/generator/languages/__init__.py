"""One package a language: its types, its templates, its samples."""
