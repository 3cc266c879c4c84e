"""Files of other formats that pose as ours: named for what they are, and never loaded."""

import gzip
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from recurra.errors import FormatError, InputError
from recurra.storage import read_model, read_tensors, save_model, write_manifest


class Bomb:
    """A pickle that leaves a trace when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def torch_zip(value):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(value))
    return buffer.getvalue()


def torch_tar(value):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo("tensors")
        info.size = len(pickle.dumps(value))
        archive.addfile(info, io.BytesIO(pickle.dumps(value)))
    return buffer.getvalue()


def npy():
    buffer = io.BytesIO()
    np.save(buffer, np.arange(3))
    return buffer.getvalue()


FOREIGN = {
    **{
        f"pickle {protocol}": (lambda bomb, p=protocol: pickle.dumps(bomb, p), "a Python pickle")
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "pickled dict 0": (lambda bomb: pickle.dumps({"w": [1]}, 0), "a Python pickle"),
    "torch.save": (torch_zip, "a zip archive, as torch.save"),
    "old torch.save": (torch_tar, "a tar archive"),
    "HDF5": (lambda _: b"\x89HDF\r\n\x1a\n" + bytes(500), "an HDF5 file"),
    "GGUF": (lambda _: b"GGUF\x03\x00\x00\x00" + bytes(500), "a GGUF file"),
    # ir_version 8, then producer_name "pytorch", as torch's exporter writes.
    "ONNX": (lambda _: b"\x08\x08\x12\x07pytorch\x1a\x052.1.0" + bytes(99), "an ONNX model"),
    "ONNX without producer": (lambda _: b"\x08\x0a\x3a\x85\x01" + bytes(500), "an ONNX model"),
    "TFLite": (lambda _: b"\x1c\x00\x00\x00TFL3" + bytes(500), "a TensorFlow Lite model"),
    "npy": (lambda _: npy(), "a numpy array"),
    "gzip": (lambda _: gzip.compress(b"x" * 100), "a gzip archive"),
    "LFS": (lambda _: b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
    "web page": (lambda _: b"<!DOCTYPE html><html>not found</html>", "a web page"),
    "JSON": (lambda _: b'{"w": [1, 2, 3]}', "JSON"),
}


@pytest.fixture(params=FOREIGN)
def foreign(request, tmp_path):
    make, name = FOREIGN[request.param]
    return make(Bomb(tmp_path / "trace")), name


def test_foreign_tensors(tmp_path, foreign):
    data, name = foreign
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        read_tensors(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: not a safetensors file: it looks like {name}")
    assert "pickles and other foreign files are never loaded" in message
    assert "\n" not in message
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("sealed", [False, True])
def test_a_foreign_file_in_a_model_directory(tmp_path, foreign, sealed):
    data, name = foreign
    save_model(tmp_path / "m", config={"task": "lm"}, tensors={"w": np.ones(2)})
    (tmp_path / "m" / "model.safetensors").write_bytes(data)
    if sealed:
        write_manifest(tmp_path / "m", kind="model")
    for verify in (True, False):
        with pytest.raises(FormatError, match="it looks like") as caught:
            read_model(tmp_path / "m", verify=verify)
        assert name in str(caught.value)
    assert not (tmp_path / "trace").exists()


def test_a_foreign_file_in_place_of_a_directory(tmp_path, foreign):
    data, name = foreign
    (tmp_path / "model.pt").write_bytes(data)
    with pytest.raises(InputError, match="is a file") as caught:
        read_model(tmp_path / "model.pt")
    assert name in str(caught.value)
    assert not (tmp_path / "trace").exists()


def test_the_library_s_own_files_look_like_nothing_foreign(tmp_path):
    """Header lengths whose first bytes are the start of some other format are still read."""
    for size in range(0x0800, 0x0900, 8):
        text = b"{}" + b" " * (size - 2)
        (tmp_path / "t").write_bytes(size.to_bytes(8, "little") + text)
        assert read_tensors(tmp_path / "t") == {}
