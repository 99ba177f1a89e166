"""Writes ONNX's own tests of single operators into a folder:
    python onnx_operators.py FOLDER

Each becomes FOLDER/<name>/ with model.onnx, input_<n>.pb and output_<n>.pb. Left out are tests
of other things than tensors of numbers and truth values: texts, sequences, pictures.
"""

import pathlib
import sys
import warnings

import numpy
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases

KINDS = {
    getattr(TensorProto, name)
    for name in "FLOAT FLOAT16 BFLOAT16 DOUBLE BOOL INT8 INT16 INT32 INT64 "
    "UINT8 UINT16 UINT32 UINT64".split()
}


def tensors(arrays):
    """The arrays as protobufs; none if one is something else."""
    found = []
    for array in arrays:
        if isinstance(array, TensorProto):
            tensor = array
        elif isinstance(array, (numpy.ndarray, numpy.generic)) and array.dtype.kind not in "OUS":
            tensor = numpy_helper.from_array(numpy.asarray(array))
        else:
            return None
        if tensor.data_type not in KINDS:
            return None
        found.append(tensor)
    return found


def main():
    folder = pathlib.Path(sys.argv[1])
    warnings.simplefilter("ignore")  # the tests overflow and divide by zero on purpose
    for case in collect_testcases(None):
        for number, (inputs, outputs) in enumerate(case.data_sets or []):
            inputs, outputs = tensors(inputs), tensors(outputs)
            if inputs is None or outputs is None:
                continue
            place = folder / (case.name if number == 0 else f"{case.name}_{number}")
            place.mkdir(parents=True)
            (place / "model.onnx").write_bytes(case.model.SerializeToString())
            for kind, found in [("input", inputs), ("output", outputs)]:
                for at, tensor in enumerate(found):
                    (place / f"{kind}_{at}.pb").write_bytes(tensor.SerializeToString())


if __name__ == "__main__":
    main()
