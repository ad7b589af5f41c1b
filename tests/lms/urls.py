"""The stand-in LMS's addresses: the platform's own, the plugins', and a few for tests."""

from common.djangoapps.student import views as student
from django.contrib import admin
from django.urls import path
from edx_django_utils.plugins import get_plugin_url_patterns
from openedx.core.djangoapps.user_api.accounts import views as accounts
from openedx.core.djangoapps.user_authn.views.login import login_user, logout_user
from openedx.core.djangoapps.user_authn.views.register import RegistrationView

from tests.lms import testing_views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/user/v2/account/registration/", RegistrationView.as_view(), name="user_api_registration_v2"),
    path("api/user/v2/account/login_session/", login_user, name="user_api_login_session"),
    path("logout", logout_user, name="logout"),
    path("activate/<str:key>", student.activate_account, name="activate"),
    path("change_enrollment", student.change_enrollment, name="change_enrollment"),
    path("api/user/v1/accounts/deactivate_logout/", accounts.deactivate_logout, name="deactivate_logout"),
    path("api/user/v1/accounts/retire/", accounts.retire, name="accounts_retire"),
    path("api/user/v1/accounts/retire_misc/", accounts.retire_misc, name="accounts_retire_misc"),
    path("testing/enroll_then_fail", testing_views.enroll_then_fail),
    path("testing/emit", testing_views.emit),
    path("testing/who", testing_views.who),
    *get_plugin_url_patterns("lms.djangoapp"),
]
