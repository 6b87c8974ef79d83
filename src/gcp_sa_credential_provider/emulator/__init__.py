"""Google in a box. In a Python process: `inprocess.Emulator`. Imports nothing else of ours."""
