"""Plain tables: addresses in clear, one row a person."""

from django.db import models


class Person(models.Model):
    """A person with three addresses."""

    user_id = models.CharField(max_length=64, unique=True)
    phone = models.CharField(max_length=20)
    email = models.CharField(max_length=100)
    jpush = models.CharField(max_length=64)
    name = models.CharField(max_length=50)
    city = models.CharField(max_length=50)
    balance = models.DecimalField(max_digits=12, decimal_places=2)


class Message(models.Model):
    """One message to one person, and what became of it."""

    person = models.ForeignKey(Person, models.CASCADE)
    state = models.CharField(max_length=10, default="PLANNED")
    provider_id = models.CharField(max_length=100, default="")
    sent_at = models.DateTimeField(null=True)
