import os

import pytest
import torch


@pytest.fixture
def one_thread():
    """Threads that small work is divided among only cost time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def no_fsync(monkeypatch):
    """Only a power cut takes what the system has been given, and no test cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
