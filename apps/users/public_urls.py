"""Addresses under /u/, open to everybody who was written to."""

from django.urls import path

from apps.users.views import unsubscribe_page

urlpatterns = [path("<str:token>", unsubscribe_page, name="unsubscribe")]
