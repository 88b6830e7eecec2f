"""Addresses under /api/v1/."""

from django.urls import path, re_path

from apps.campaigns import api, api_approvals, events_api, presence_api, schedules_api

urlpatterns = [
    path("messages", api.SingleView.as_view(), name="api-message-send"),
    path("messages/batch", api.BatchView.as_view(), name="api-message-batch"),
    re_path(r"^messages/(?P<message_id>[0-9]{1,20})$", api.StatusView.as_view(), name="api-message"),
    path("presence", presence_api.PresenceView.as_view(), name="api-presence"),
    path("events", events_api.EventsView.as_view(), name="api-events"),
    path("approvals", api_approvals.ApprovalsView.as_view(), name="api-approvals"),
    re_path(r"^approvals/(?P<approval_id>[0-9]{1,18})$", api_approvals.ApprovalView.as_view(), name="api-approval"),
    re_path(
        r"^approvals/(?P<approval_id>[0-9]{1,18})/decision$", api_approvals.DecisionView.as_view(), name="api-decision"
    ),
    path("schedules", schedules_api.SchedulesView.as_view(), name="api-schedules"),
    re_path(r"^schedules/(?P<schedule_id>[0-9]{1,18})$", schedules_api.ScheduleView.as_view(), name="api-schedule"),
]
