"""The doors: console, API, hooks of providers, health."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from ums_site.health import livez, readyz

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="root"),
    path("console/costs/", include("apps.reports.cost_urls")),
    path("console/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("api/", SpectacularSwaggerView.as_view(url_name="api-schema"), name="api-page"),
    path("api/schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("api/v1/", include("apps.campaigns.api_urls")),
    path("api/v1/", include("apps.channels.api_urls")),
    path("api/v1/", include("apps.users.api_urls")),
    path("u/", include("apps.users.public_urls")),
    path("api/v1/", include("apps.partners.api_urls")),
    path("api/v1/", include("apps.reports.api_urls")),
    path("hooks/", include("apps.campaigns.hook_urls")),
    path("livez", livez, name="livez"),
    path("readyz", readyz, name="readyz"),
]
