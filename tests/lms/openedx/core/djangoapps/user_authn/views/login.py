"""Logging in over HTTP: the filter, the password, Django's login, the event."""

from common.djangoapps.student.models.user import user_data
from django.contrib.auth import authenticate, logout
from django.contrib.auth import login as django_login
from django.contrib.auth.models import User
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_POST
from openedx.core.djangoapps.user_authn.exceptions import AuthFailedError
from openedx_events.learning.signals import SESSION_LOGIN_COMPLETED
from openedx_filters.learning.filters import StudentLoginRequested

INCORRECT = "Email or password is incorrect."
INACTIVE = "In order to sign in, you need to activate your account."


@require_POST
def login_user(request: HttpRequest) -> HttpResponse:
    """``POST /api/user/v2/account/login_session/`` with ``email_or_username`` (or ``email``) and ``password``."""
    try:
        user = _find_user(request)
        _ask_filter(user)
        authenticated = _check_password(request, user)
    except AuthFailedError as error:
        return JsonResponse(error.get_response(), status=400)
    django_login(request, authenticated)
    authenticated = User.objects.select_related("profile").get(pk=authenticated.pk)
    SESSION_LOGIN_COMPLETED.send_event(user=user_data(authenticated))
    return JsonResponse({"success": True, "redirect_url": request.POST.get("next", "/")})


@require_POST
def logout_user(request: HttpRequest) -> HttpResponse:
    """``POST /logout``."""
    logout(request)
    return JsonResponse({"success": True, "redirect_url": "/"})


def _find_user(request: HttpRequest) -> User | None:
    name = request.POST.get("email_or_username") or request.POST.get("email")
    if not name or "password" not in request.POST:
        raise AuthFailedError("There was an error receiving your login information. Please email us.")
    return User.objects.filter(Q(email=name) | Q(username=name)).first()


def _ask_filter(user: User | None) -> None:
    """Run the filter before the password is looked at; the user it returns is not used."""
    try:
        StudentLoginRequested.run_filter(user=user)
    except StudentLoginRequested.PreventLogin as exc:
        raise AuthFailedError(
            str(exc),
            redirect_url=exc.redirect_to,
            error_code=exc.error_code,
            context=exc.context,
        ) from exc


def _check_password(request: HttpRequest, user: User | None) -> User:
    username = user.username if user else ""
    authenticated = authenticate(request, username=username, password=request.POST["password"])
    if not isinstance(authenticated, User):
        raise AuthFailedError(INCORRECT, error_code="incorrect-email-or-password")
    if not authenticated.is_active:
        raise AuthFailedError(INACTIVE, error_code="inactive-user")
    return authenticated
