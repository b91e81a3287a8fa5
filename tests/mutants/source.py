"""Every way in which a source file of the checker is mutated: one operator, constant, condition or statement each."""

import ast
import copy
from collections.abc import Iterator
from typing import NamedTuple

COMPARISONS: dict[type[ast.cmpop], list[type[ast.cmpop]]] = {
    ast.Lt: [ast.LtE, ast.GtE],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}
OPERATORS: dict[type[ast.operator], list[type[ast.operator]]] = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Add],
    ast.FloorDiv: [ast.Mult],
    ast.Mod: [ast.FloorDiv],
    ast.Pow: [ast.Mult],
    ast.LShift: [ast.RShift],
    ast.RShift: [ast.LShift],
    ast.BitAnd: [ast.BitOr],
    ast.BitOr: [ast.BitAnd],
    ast.BitXor: [ast.BitAnd],
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "lower": "upper", "upper": "lower"}
REFUSALS = {"Malformed", "Rejected", "OtherModel", "ResourceLimit", "InternalError", "show", "show_set"}
"""Calls whose arguments are words for a reader; the first one, a code, is asserted by many tests."""
HELP = {"help", "metavar", "description", "epilog"}
"""Arguments of the command line that are words for a reader."""


Way = list[tuple[str, int | None]]  # from a tree to one of its nodes: fields, and places in lists


class Mutation(NamedTuple):
    """One change: of which line, in the function or lambda that starts at which one (0: in none), and what it is."""

    line: int
    start: int
    what: str
    tree: ast.Module  # of the whole file, as it is
    way: Way
    new: ast.AST | None

    @property
    def source(self) -> str:
        """The mutant's text."""
        return ast.unparse(replaced(self.tree, self.way, self.new))


def other_name(name: str) -> str:
    """The same name with lower and upper, or min and max, exchanged; the name itself if it has none of them."""
    return "_".join(NAMES.get(word, word) for word in name.split("_"))


def variants(node: ast.AST) -> Iterator[tuple[str, ast.AST | None]]:
    """What a node can become, with words for it; None drops a statement."""
    match node:
        case ast.Compare(ops=ops):
            for place, op in enumerate(ops):
                for other in COMPARISONS[type(op)]:
                    new = copy.deepcopy(node)
                    new.ops[place] = other()
                    yield ast.unparse(new), new
        case ast.BinOp(op=op):
            for kind in OPERATORS.get(type(op), ()):
                new_binary = ast.BinOp(node.left, kind(), node.right)
                yield ast.unparse(new_binary), new_binary
        case ast.AugAssign(op=op):
            for kind in OPERATORS.get(type(op), ()):
                new_assignment = ast.AugAssign(node.target, kind(), node.value)
                yield ast.unparse(new_assignment), new_assignment
            yield f"without {ast.unparse(node)}", None
        case ast.UnaryOp(operand=operand):
            yield f"{ast.unparse(operand)} for {ast.unparse(node)}", operand
        case ast.BoolOp(op=op, values=values):
            new_bool = ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            yield ast.unparse(new_bool), new_bool
            for place in range(len(values)):
                rest = [value for at, value in enumerate(values) if at != place]
                kept = rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
                yield f"{ast.unparse(kept)} for {ast.unparse(node)}", kept
        case ast.Constant(value=bool(value)):
            yield f"{not value} for {value}", ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield f"{value + 1} for {value}", ast.Constant(value + 1)
            yield f"{value - 1} for {value}", ast.Constant(value - 1)
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            new_test = copy.deepcopy(node)
            assert isinstance(new_test, ast.If | ast.IfExp | ast.While)
            new_test.test = ast.UnaryOp(ast.Not(), test)
            yield f"not {ast.unparse(test)}", new_test
        case ast.Raise():
            yield f"without {ast.unparse(node).partition('(')[0]}", None
        case ast.Expr(value=ast.Call()):
            yield f"without {ast.unparse(node)}", None
        case ast.Return(value=None) | ast.Continue() | ast.Break():
            yield f"without {ast.unparse(node)}", None
        case ast.Name(id=name) if other_name(name) != name:
            yield f"{other_name(name)} for {name}", ast.Name(other_name(name), node.ctx)
        case ast.Attribute(attr=name) if other_name(name) != name:
            yield f"{other_name(name)} for {name}", ast.Attribute(node.value, other_name(name), node.ctx)
        case ast.comprehension(ifs=[_, *_]):
            new_comprehension = copy.deepcopy(node)
            new_comprehension.ifs = []
            yield f"without if {ast.unparse(node.ifs[0])}", new_comprehension
        case ast.Call(func=ast.Name(id="range"), args=args):
            for by in (1, -1):
                last = ast.BinOp(args[-1], ast.Add() if by > 0 else ast.Sub(), ast.Constant(1))
                new_range = ast.Call(node.func, [*args[:-1], last], [])
                yield ast.unparse(new_range), new_range
        case ast.Call(keywords=[_, *_]):
            for place, keyword in enumerate(node.keywords):
                if keyword.arg in HELP:
                    continue
                others = [one for at, one in enumerate(node.keywords) if at != place]
                yield f"without {ast.unparse(keyword)}", ast.Call(node.func, node.args, others)
        case ast.Subscript(slice=ast.Slice(lower=lower, upper=upper, step=step)):
            for name, bound in (("lower", lower), ("upper", upper), ("step", step)):
                if bound is not None:
                    new_slice = copy.deepcopy(node)
                    setattr(new_slice.slice, name, None)
                    yield ast.unparse(new_slice), new_slice


class Finder(ast.NodeVisitor):
    """Collects (start of the function, node, the way to it), and leaves out what is not code that runs."""

    def __init__(self) -> None:
        self.found: list[tuple[int, ast.AST, Way]] = []

    def walk(self, node: ast.AST, start: int, way: Way) -> None:
        self.found.append((start, node, way))
        for name, value in ast.iter_fields(node):
            inner = start
            if isinstance(node, ast.FunctionDef):
                if name in ("returns", "args", "decorator_list"):
                    continue
                inner = start or min([node.lineno, *[one.lineno for one in node.decorator_list]])
            if isinstance(node, ast.Lambda):
                inner = start or node.lineno
            if isinstance(node, ast.AnnAssign) and name == "annotation":
                continue
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REFUSALS:
                continue
            if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.keyword) and node.arg == "strict"):
                continue
            if isinstance(value, list):
                for place, item in enumerate(value):
                    if isinstance(item, ast.AST):
                        self.walk(item, inner, [*way, (name, place)])
            elif isinstance(value, ast.AST):
                self.walk(value, inner, [*way, (name, None)])


def replaced(tree: ast.Module, way: Way, new: ast.AST | None) -> ast.Module:
    """A copy of the tree with another node at the end of the way."""
    tree = copy.deepcopy(tree)
    parent: ast.AST = tree
    for name, place in way[:-1]:
        parent = getattr(parent, name) if place is None else getattr(parent, name)[place]
    name, place = way[-1]
    new = ast.Pass() if new is None else copy.deepcopy(new)
    if place is None:
        setattr(parent, name, new)
    else:
        getattr(parent, name)[place] = new
    return ast.fix_missing_locations(tree)


def line_of(tree: ast.Module, way: Way) -> int:
    """The line of the innermost node on the way that has one."""
    node: ast.AST = tree
    line = 0
    for name, place in way:
        node = getattr(node, name) if place is None else getattr(node, name)[place]
        line = getattr(node, "lineno", line)
    return line


def mutations(source: str) -> Iterator[Mutation]:
    """All of a file, in its order."""
    tree = ast.parse(source)
    finder = Finder()
    finder.walk(tree, 0, [])
    for start, node, way in finder.found:
        if not way:
            continue
        for what, new in variants(node):
            line = line_of(tree, way)
            yield Mutation(line, start, what, tree, way, new)
