"""The algorithm for .mha images as a server."""

import gc_invoke
import gc_mha_exec

gc_invoke.Handler.run = staticmethod(gc_mha_exec.run)
gc_invoke.serve()
