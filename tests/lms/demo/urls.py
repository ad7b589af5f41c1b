"""The stand-in LMS's addresses, and the demo's pages before them."""

from django.urls import path

from tests.lms.demo import views
from tests.lms.urls import urlpatterns as lms

urlpatterns = [
    path("", views.home, name="home"),
    path("register", views.register, name="register"),
    path("login", views.login, name="login"),
    path("inbox", views.show_inbox, name="inbox"),
    path("demo/inbox.json", views.inbox_json, name="inbox_json"),
    path("demo/mood", views.change_mood, name="mood"),
    *lms,
]
