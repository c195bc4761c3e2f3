"""Values in the JSON of a ``.pt2`` file: arguments, names and sizes."""

import ast
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch

from .exported import module_path
from .program import Block, Ref

DTYPES: Final = {
    number: dtype
    for number, name in {
        1: "uint8",
        2: "int8",
        3: "int16",
        4: "int32",
        5: "int64",
        6: "float16",
        7: "float32",
        8: "float64",
        9: "complex32",
        10: "complex64",
        11: "complex128",
        12: "bool",
        13: "bfloat16",
        28: "uint16",
        29: "float8_e4m3fn",
        30: "float8_e5m2",
        31: "float8_e4m3fnuz",
        32: "float8_e5m2fnuz",
    }.items()
    if (dtype := getattr(torch, name, None)) is not None
}
_MEMORY_FORMATS: Final = {
    1: torch.contiguous_format,
    2: torch.channels_last,
    3: torch.channels_last_3d,
    4: torch.preserve_format,
}

#: Lists whose items are values already.
_LISTS: Final = frozenset({"as_ints", "as_floats", "as_bools", "as_strings", "as_int_lists"})
#: Lists whose items are names, or numbers in a wrapping.
_NAMED_LISTS: Final = frozenset(
    {
        "as_tensors",
        "as_optional_tensors",
        "as_nested_tensors",
        "as_sym_ints",
        "as_sym_floats",
        "as_sym_bools",
    }
)


def only(union: Mapping[str, Any]) -> tuple[str, Any]:
    """The kind and the value of a union, which is written as a mapping of one item.

    Raises:
        ValueError: if it is something else.
    """
    if not isinstance(union, dict) or len(union) != 1:
        raise ValueError(f"{union!r:.60} is no value with a kind")
    return next(iter(union.items()))


# -- arguments ------------------------------------------------------------------------------------


def argument_value(argument: Any, block_of: Callable[[Any], Block]) -> Any:
    """An argument, with references for values of the graph and no device but meta.

    Args:
        argument: Its record.
        block_of: Reads a nested graph.

    Raises:
        ValueError: for a kind of argument that is not known.
    """
    kind, value = only(argument)
    if kind in ("as_int", "as_float", "as_bool", "as_string"):
        return value
    if kind in _LISTS:
        return list(value)
    if kind in _NAMED_LISTS:
        return [_item(item) for item in value]
    if kind in ("as_tensor", "as_sym_int", "as_sym_float", "as_sym_bool", "as_optional_tensor"):
        return _item(value)
    if kind == "as_none":
        return None
    if kind == "as_scalar_type":
        return DTYPES[value]
    if kind == "as_memory_format":
        return _MEMORY_FORMATS[value]
    if kind == "as_layout":
        return torch.strided
    if kind == "as_device":
        return torch.device("meta")
    if kind == "as_complex":
        return complex(value["real"], value["imag"])
    if kind == "as_graph":
        return block_of(value["graph"])
    raise ValueError(f"an argument of the unknown kind {kind!r:.40}")


def _item(item: Any) -> Any:
    """A tensor or a number: by its name, or the number itself."""
    if isinstance(item, list):
        return [_item(part) for part in item]
    if "name" in item:
        return _reference_to(item["name"])
    kind, value = only(item)
    if kind == "as_none":
        return None
    if kind == "as_name":
        return _reference_to(value)
    return _item(value) if kind == "as_tensor" else value


def _reference_to(name: Any) -> Ref:
    if not isinstance(name, str):
        raise ValueError(f"{name!r:.60} is no name of a value")
    return Ref(name)


def name_of(argument: Any) -> str:
    """Name of an input or a result.

    Raises:
        ValueError: if it has none.
    """
    name = result_names([argument])
    if not isinstance(name, list) or not isinstance(name[0], str):
        raise ValueError(f"{argument!r:.60} has no name")
    return name[0]


def result_names(outputs: Any) -> list[Any]:
    """Names of the results of a call: one an output, a list for an output that is a list."""
    if len(outputs) == 1 and only(outputs[0])[0] == "as_tensors":
        outputs = [{"as_tensor": item} for item in only(outputs[0])[1]]
    return [_result(output) for output in outputs]


def _result(output: Any) -> Any:
    _, value = only(output)
    if isinstance(value, list):
        return [_reference(_item(item)) for item in value]
    return _reference(_item(value)) if isinstance(value, dict) else None


def _reference(value: Any) -> str | None:
    return value.name if isinstance(value, Ref) else None


def scope_of(metadata: Mapping[str, Any]) -> str:
    """Path of the module in which a call was made."""
    stack = str(metadata.get("nn_module_stack") or "")
    parts = stack.rpartition(";")[2].split(",")
    return module_path(parts[1]) if len(parts) > 1 else ""


# -- sizes ----------------------------------------------------------------------------------------


def symbol_of(size: Any) -> str | None:
    """The symbol that a size is; ``None`` for numbers and for formulas."""
    kind, value = only(size)
    if kind != "as_expr":
        return None
    tree = _parsed(value["expr_str"])
    if isinstance(tree, ast.Call) and _function_name(tree) == "Symbol":
        return _text(tree)
    return tree.id if isinstance(tree, ast.Name) else None


def example_of(size: Any) -> int:
    """The example of a size that is symbolic.

    Raises:
        ValueError: if there is none.
    """
    _, value = only(size)
    hint = only(value["hint"])[1] if value.get("hint") else None
    if type(hint) is not int:
        raise ValueError(f"the size {value['expr_str']!r:.60} is dynamic and has no example")
    return hint


def evaluated(formula: str, sizes: Mapping[str, int]) -> int | None:
    """The value of a formula of sums and products; ``None`` for any other."""
    try:
        return _number(_parsed(formula), sizes)
    except (KeyError, ValueError):
        return None


def _parsed(formula: Any) -> ast.expr:
    if not isinstance(formula, str) or len(formula) > 10_000:
        raise ValueError("a size is no formula, or a very long one")
    try:
        return ast.parse(formula, mode="eval").body
    except (SyntaxError, MemoryError) as error:
        raise ValueError(f"{formula!r:.60} is no formula") from error


def _number(tree: ast.expr, sizes: Mapping[str, int]) -> int:
    if isinstance(tree, ast.Name):
        return sizes[tree.id]
    if not isinstance(tree, ast.Call):
        raise ValueError("not a formula that is understood")
    name = _function_name(tree)
    if name == "Symbol":
        return sizes[_text(tree)]
    if name == "Integer":
        sign = -1 if isinstance(tree.args[0], ast.UnaryOp) else 1
        value = tree.args[0].operand if isinstance(tree.args[0], ast.UnaryOp) else tree.args[0]
        if isinstance(value, ast.Constant) and type(value.value) is int:
            return sign * value.value
    numbers = [_number(part, sizes) for part in tree.args]
    if name == "Add":
        return sum(numbers)
    if name == "Mul":
        total = 1
        for number in numbers:
            total *= number
        return total
    raise ValueError(f"the function {name!r:.40} of sizes is not understood")


def _function_name(tree: ast.Call) -> str:
    return tree.func.id if isinstance(tree.func, ast.Name) else ""


def _text(tree: ast.Call) -> str:
    first = tree.args[0] if tree.args else None
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        return first.value
    raise ValueError("a symbol has no name")
