"""Retiring an account: asked for by the user, done later by the site's pipeline."""

from django.contrib.auth import logout
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST
from openedx.core.djangoapps.user_api.accounts.signals import USER_RETIRE_LMS_CRITICAL, USER_RETIRE_LMS_MISC
from openedx.core.djangoapps.user_api.models import UserRetirementStatus


@require_POST
def deactivate_logout(request: HttpRequest) -> HttpResponse:
    """``POST /api/user/v1/accounts/deactivate_logout/``: retire oneself; the e-mail is replaced at once."""
    user = request.user
    if not isinstance(user, User):
        return HttpResponseForbidden()
    status = UserRetirementStatus.create_retirement(user)
    user.email = status.retired_email
    user.set_unusable_password()
    user.save()
    logout(request)
    return HttpResponse(status=204)


@require_POST
def retire_misc(request: HttpRequest) -> HttpResponse:
    """``POST /api/user/v1/accounts/retire_misc/`` with ``username`` (the original one), by staff."""
    if not getattr(request.user, "is_staff", False):
        return HttpResponseForbidden()
    status = get_object_or_404(UserRetirementStatus, original_username=request.POST.get("username"))
    USER_RETIRE_LMS_MISC.send(sender=retire_misc, user=status.user)
    return HttpResponse(status=204)


@require_POST
def retire(request: HttpRequest) -> HttpResponse:
    """``POST /api/user/v1/accounts/retire/`` with ``username`` (the original one), by staff: the last step."""
    if not getattr(request.user, "is_staff", False):
        return HttpResponseForbidden()
    status = get_object_or_404(UserRetirementStatus, original_username=request.POST.get("username"))
    user = status.user
    user.profile.name = ""
    user.profile.save()
    user.username = status.retired_username
    user.save()
    USER_RETIRE_LMS_CRITICAL.send(sender=retire, user=user)
    return HttpResponse(status=204)
