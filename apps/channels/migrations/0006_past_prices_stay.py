"""A price that has been in force refuses to be changed or deleted, whoever asks; only its end may be set, to come."""

from django.db import migrations

CREATE = """
CREATE FUNCTION keep_past_prices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.valid_from <= now() THEN
            RAISE EXCEPTION 'a price that has been in force is never deleted' USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF (OLD.account_id, OLD.price, OLD.valid_from) IS DISTINCT FROM (NEW.account_id, NEW.price, NEW.valid_from)
       OR (OLD.valid_to < now() AND OLD.valid_to IS DISTINCT FROM NEW.valid_to) OR NEW.valid_to < now() THEN
        RAISE EXCEPTION 'a price is never changed, and it ends now or later' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER past_prices_stay BEFORE UPDATE OR DELETE ON ums_channels_accountprice
    FOR EACH ROW EXECUTE FUNCTION keep_past_prices();
"""
DROP = "DROP TRIGGER past_prices_stay ON ums_channels_accountprice; DROP FUNCTION keep_past_prices();"


class Migration(migrations.Migration):
    dependencies = [("ums_channels", "0005_prices_begin")]

    operations = [migrations.RunSQL(CREATE, DROP)]
