"""Addresses of accounts under /api/v1/."""

from django.urls import path

from apps.channels import api

urlpatterns = [path("accounts/<slug:code>/token", api.TokenView.as_view(), name="api-account-token")]
