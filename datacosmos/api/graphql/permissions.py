"""Who may ask for which field."""

from typing import Any

from strawberry.permission import BasePermission, PermissionExtension

from datacosmos.api.graphql.context import Info


class IsAdmin(BasePermission):
    """Raises Unauthenticated or Forbidden itself: one message could not tell the two apart."""

    def has_permission(self, source: object, info: Info, **kwargs: Any) -> bool:  # noqa: ARG002
        info.context.permissions.require_admin()
        return True


class IsOwner(BasePermission):
    """Raises Unauthenticated or Forbidden itself, as above."""

    def has_permission(self, source: object, info: Info, *, user_id: str, **kwargs: Any) -> bool:  # noqa: ARG002
        info.context.permissions.require_subject_or_admin(user_id)
        return True


def admins_only() -> PermissionExtension:
    """An extension for each field it guards; it leaves no directive in the schema."""
    return PermissionExtension([IsAdmin()], use_directives=False)


def owner_only() -> PermissionExtension:
    """The same for a field of a user: its argument user_id says whose."""
    return PermissionExtension([IsOwner()], use_directives=False)
