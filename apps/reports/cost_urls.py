"""The address of the page of costs, below the console's."""

from django.contrib import admin
from django.urls import path

from apps.reports.cost_page import cost_page

urlpatterns = [path("", admin.site.admin_view(cost_page), name="report-costs")]
