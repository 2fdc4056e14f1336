"""The addresses of suspense: whoever sees it needs ``payments.suspense``, whoever assigns ``payments.approve`` too."""

from __future__ import annotations

from typing import Final

from kernel import ListQuery, Route
from plugins.payments.suspense import line_pages, pages

_SEE: Final = "payments.suspense"
_ASSIGN: Final = "payments.approve"

ROUTES: Final = (
    Route(
        "GET",
        "/admin/suspense",
        pages.lines,
        _SEE,
        "payments.suspense_list",
        query=pages.LinesQuery,
        template="payments/suspense/list.html",
    ),
    Route(
        "GET", "/admin/suspense/new", pages.new, _SEE, "payments.suspense_new", template="payments/suspense/new.html"
    ),
    Route("POST", "/admin/suspense/new", pages.add, _SEE, "payments.suspense_add", body=pages.LineForm),
    Route(
        "GET",
        "/admin/suspense/days",
        pages.days,
        _SEE,
        "payments.suspense_days",
        query=pages.DaysQuery,
        template="payments/suspense/days.html",
    ),
    Route(
        "GET",
        "/admin/suspense/exports",
        pages.exports,
        _SEE,
        "payments.suspense_exports",
        query=ListQuery,
        template="payments/suspense/exports.html",
    ),
    Route("POST", "/admin/suspense/exports", pages.export, _ASSIGN, "payments.suspense_export_new"),
    Route(
        "GET",
        r"/admin/suspense/exports/{export:\d+}",
        pages.exported,
        _SEE,
        "payments.suspense_export",
        query=ListQuery,
        template="payments/suspense/export.html",
    ),
    Route(
        "GET",
        r"/admin/suspense/{line:\d+}",
        line_pages.line,
        _SEE,
        "payments.suspense_line",
        template="payments/suspense/line.html",
    ),
    Route(
        "POST",
        r"/admin/suspense/{line:\d+}",
        line_pages.assign,
        _ASSIGN,
        "payments.suspense_assign",
        body=line_pages.SplitForm,
    ),
    Route(
        "GET",
        r"/admin/suspense/{line:\d+}/list",
        line_pages.attach,
        _SEE,
        "payments.suspense_attach",
        template="payments/suspense/attach.html",
    ),
    Route(
        "POST",
        r"/admin/suspense/{line:\d+}/list",
        line_pages.book_list,
        _ASSIGN,
        "payments.suspense_book_list",
        body=line_pages.ListForm,
    ),
    Route(
        "POST",
        r"/admin/suspense/{line:\d+}/list/preview",
        line_pages.preview,
        _ASSIGN,
        "payments.suspense_preview",
        body=line_pages.PreviewForm,
        files=True,
        read_only=True,
        template="payments/suspense/attach.html",
    ),
    Route(
        "GET",
        r"/admin/suspense/{line:\d+}/give-back",
        line_pages.confirm_give_back,
        _SEE,
        "payments.suspense_confirm_give_back",
        template="payments/suspense/give_back.html",
    ),
    Route(
        "POST",
        r"/admin/suspense/{line:\d+}/give-back",
        line_pages.give_back,
        _ASSIGN,
        "payments.suspense_give_back",
        body=line_pages.GiveBackForm,
    ),
    Route(
        "GET",
        r"/admin/suspense/parts/{part:\d+}/undo",
        line_pages.confirm_undo,
        _SEE,
        "payments.suspense_confirm_undo",
        template="payments/suspense/undo.html",
    ),
    Route(
        "POST",
        r"/admin/suspense/parts/{part:\d+}/undo",
        line_pages.undo,
        _ASSIGN,
        "payments.suspense_undo",
        body=line_pages.UndoForm,
    ),
)
