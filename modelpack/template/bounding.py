"""Jinja templates, changed so that they ask wherever something is made or goes round."""

# ruff: noqa: N802, N815 - Jinja's visitors are classes, and it names their methods

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2
    from jinja2 import compiler, nodes, visitor

ADDED, JOINED, NESTED = "(added)", "(joined)", "(nested)"
PRINTED, SIZED, TURN = "(printed)", "(sized)", "(turn)"
"""The filters that ask; no template can name them."""
_SHORT = 256
"""A text of a template that is not worth counting by itself."""


def bound(tree: nodes.Template, environment: jinja2.Environment) -> None:
    """Put a filter of ours into *tree* wherever something is made or goes round."""
    from jinja2 import nodes

    class Bounding(_rounds()):  # type: ignore[misc]
        """Changes what makes a text or a list."""

        def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
            self.generic_visit(node)
            return _asked(JOINED, nodes.Tuple(node.nodes, "load", lineno=node.lineno))

        def visit_Add(self, node: nodes.Add) -> nodes.Node:
            terms: list[nodes.Expr] = []
            inner: nodes.Expr = node
            while isinstance(inner, nodes.Add):
                terms.append(inner.right)
                inner = inner.left
            terms.append(inner)
            found = [self.visit(term) for term in reversed(terms)]
            return _asked(ADDED, nodes.Tuple(found, "load", lineno=node.lineno))

        def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
            self.generic_visit(node)
            return _asked(SIZED, node) if isinstance(node.arg, nodes.Slice) else node

        def visit_List(self, node: nodes.List) -> nodes.Node:
            self.generic_visit(node)
            simple = all(isinstance(item, nodes.Const) for item in node.items)
            return node if simple else _asked(NESTED, node)

        def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
            return self.visit_List(node) if node.ctx == "load" else node  # type: ignore[arg-type]

        def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
            self.generic_visit(node)
            simple = all(isinstance(item.value, nodes.Const) for item in node.items)
            return node if simple else _asked(NESTED, node)

    Bounding().visit(tree)
    tree.set_environment(environment)


def _rounds() -> type[visitor.NodeTransformer]:
    from jinja2 import nodes, visitor

    class Rounds(visitor.NodeTransformer):
        """Changes what goes round, and what is printed."""

        within = 0
        """In how many parts it is whose text is not given out at once."""

        def _round(self, node: Any) -> Any:  # noqa: ANN401 - any statement with a body
            self.generic_visit(node)
            texts = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
            turn = _asked(TURN, nodes.Const(texts if self.within else 0, lineno=node.lineno))
            node.body.insert(0, nodes.ExprStmt(turn, lineno=node.lineno))
            return node

        def _kept(self, node: Any) -> Any:  # noqa: ANN401
            self.within += 1
            found = self._round(node)
            self.within -= 1
            return found

        visit_Block = _round
        visit_Macro = visit_CallBlock = visit_AssignBlock = visit_FilterBlock = _kept

        def visit_For(self, node: nodes.For) -> Any:  # noqa: ANN401
            found = self._kept(node) if node.recursive else self._round(node)
            if node.test is not None:
                turn = _asked(TURN, nodes.Const(0, lineno=node.lineno))
                node.test = nodes.And(turn, node.test, lineno=node.lineno)
            return found

        def visit_Output(self, node: nodes.Output) -> nodes.Node:
            self.generic_visit(node)
            node.nodes = list(map(self._printed, node.nodes))
            return node

        def _printed(self, node: nodes.Expr) -> nodes.Expr:
            if isinstance(node, nodes.Const) and isinstance(node.value, str):
                node = nodes.TemplateData(node.value, lineno=node.lineno)
            if not self.within or (
                isinstance(node, nodes.TemplateData) and len(node.data) < _SHORT
            ):
                return node
            if isinstance(node, nodes.TemplateData):
                node = nodes.Const(node.data, lineno=node.lineno)
            return _asked(PRINTED, node)

    return Rounds


def _asked(name: str, value: nodes.Expr) -> nodes.Filter:
    from jinja2 import nodes

    return nodes.Filter(value, name, [], [], None, None, lineno=value.lineno)


def free_variables(tree: nodes.Template, environment: jinja2.Environment) -> frozenset[str]:
    """Return the names that *tree* takes from its context."""
    from jinja2.meta import TrackingCodeGenerator

    class Tracker(TrackingCodeGenerator):
        """Looks only, where its base computes what is constant."""

        def visit_Output(self, node: nodes.Output, frame: compiler.Frame) -> None:
            for child in node.nodes:
                self.visit(child, frame)

    tracker = Tracker(environment)
    tracker.optimizer = None
    tracker.visit(tree)
    return frozenset(tracker.undeclared_identifiers)
