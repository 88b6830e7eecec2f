"""Addresses under /hooks/, one for each account; a provider may put words of its own behind it."""

from django.urls import path

from apps.campaigns.hooks import receive

urlpatterns = [
    path("<slug:code>/<str:token>", receive, name="hook"),
    path("<slug:code>/<str:token>/<path:rest>", receive, name="hook_below"),
]
