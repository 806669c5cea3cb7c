"""Launchers: how the processes of a run come to be."""

from lit_accelerators.launchers.base import Launcher
from lit_accelerators.launchers.in_process import InProcessLauncher
from lit_accelerators.launchers.multiprocess import MultiprocessLauncher
from lit_accelerators.launchers.ray import RayLauncher
from lit_accelerators.launchers.script import ScriptLauncher

__all__ = ["InProcessLauncher", "Launcher", "MultiprocessLauncher", "RayLauncher", "ScriptLauncher"]
