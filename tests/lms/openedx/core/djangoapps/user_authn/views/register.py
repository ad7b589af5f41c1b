"""Registering over HTTP: the filter, the rows, Django's login, the event."""

from common.djangoapps.student.models import Registration, UserProfile
from common.djangoapps.student.models.user import user_data
from django.contrib.auth import authenticate
from django.contrib.auth import login as django_login
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from openedx_events.learning.signals import STUDENT_REGISTRATION_COMPLETED
from openedx_filters.learning.filters import StudentRegistrationRequested

REQUIRED = {
    "username": "Username must be between 2 and 30 characters long.",
    "email": "A properly formatted e-mail is required.",
    "name": "Enter your full name.",
    "password": "This password is too short.",
}


@method_decorator(transaction.non_atomic_requests, name="dispatch")
@method_decorator(csrf_exempt, name="dispatch")
class RegistrationView(View):
    """``POST /api/user/v2/account/registration/`` with username, email, name, password ...: 200, 400 or 409.

    The new account is logged in, and inactive until its key is followed. No transaction is open around the
    request: the rows are one transaction, and the event is sent after it.
    """

    def post(self, request: HttpRequest) -> HttpResponse:
        """Create an account."""
        try:
            form = StudentRegistrationRequested.run_filter(form_data=request.POST.copy())
        except StudentRegistrationRequested.PreventRegistration as exc:
            return JsonResponse({"error_message": [{"user_message": str(exc)}]}, status=exc.status_code)
        return _find_errors(form) or _register(request, form)


def _find_errors(form: QueryDict) -> HttpResponse | None:
    """Return what the platform answers to a form it does not take: fields missing 400, names taken 409."""
    missing = {field: [{"user_message": text}] for field, text in REQUIRED.items() if not form.get(field)}
    if missing:
        return JsonResponse({**missing, "error_code": "validation-error"}, status=400)
    for field in ("username", "email"):
        if User.objects.filter(**{field: form[field]}).exists():
            message = f"It looks like this {field} is already taken"
            errors = {field: [{"user_message": message}], "error_code": f"duplicate-{field}"}
            return JsonResponse(errors, status=409)
    return None


def _register(request: HttpRequest, form: QueryDict) -> HttpResponse:
    with transaction.atomic():
        user = User(username=form["username"], email=form["email"], is_active=False)
        user.set_password(form["password"])
        user.save()
        UserProfile.objects.create(user=user, name=form["name"], country=form.get("country"))
        Registration.objects.create(user=user)
    new_user = authenticate(request, username=user.username, password=form["password"])
    django_login(request, new_user)
    STUDENT_REGISTRATION_COMPLETED.send_event(user=user_data(user))
    return JsonResponse({"success": True, "redirect_url": form.get("next", "/")})
