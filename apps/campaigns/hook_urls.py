"""Addresses under /hooks/, one for each account."""

from django.urls import path

from apps.campaigns.hooks import receive

urlpatterns = [path("<slug:code>/<str:token>", receive, name="hook")]
