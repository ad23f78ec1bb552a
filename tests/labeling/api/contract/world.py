"""Requests to the API."""

from __future__ import annotations

from rest_framework.test import APIClient


def client_of(user):
    client = APIClient()
    client.force_authenticate(user)
    return client


def url(tail):
    return f"/api/v1/libraries/lib/{tail}"


def take(client, **body):
    answer = client.post(url("queue/next/"), body, format="json")
    assert answer.status_code == 200, answer.content
    return answer.json()


def submit(client, **body):
    return client.post(url("annotations/"), body, format="json")
