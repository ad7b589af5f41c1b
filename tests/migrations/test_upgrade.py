"""The drop-in upgrade: tables as the published versions leave them, ``migrate``, and the ways back."""

import pytest

RENAMED = {
    "StudentSettingsRenderStarted": "AccountSettingsRenderStarted",
    "XblockRenderStarted": "RenderXBlockStarted",
    "CourseHomepageUrlCreationStarted": "CourseHomeUrlCreationStarted",
    "HomeEnrollmentApiRendered": "CourseEnrollmentAPIRenderStarted",
    "HomeCourserunApiRenderedStarted": "CourseRunAPIRenderStarted",
    "OraSubmissionViewRenderStarted": "ORASubmissionViewRenderStarted",
    "IdvPageUrlRequested": "IDVPageURLRequested",
    "CourseAboutPageUrlRequested": "CourseAboutPageURLRequested",
    "ScheduleQuerysetRequested": "ScheduleQuerySetRequested",
    "AuthoringLmsPageUrlRequested": "LMSPageURLRequested",
}

LONGEST_EVENT_TYPE = "org.openedx.content_authoring." + "x" * 60 + ".v1"


def webhooks(site):
    return site.sql("SELECT id, event, webhook_url, format, secret FROM openedx_webhooks_webhook ORDER BY id")


def webfilters(site):
    return site.sql("SELECT event, enabled, description FROM openedx_webhooks_webfilter ORDER BY id")


@pytest.fixture(params=[(), ("0008_verawood",)], ids=["0007", "0008"])
def published(request, site):
    """Make a site that ran the published package, with two webhooks and a webfilter of it."""
    site.install_published(*request.param)
    site.insert_webhook("SESSION_LOGIN_COMPLETED")
    site.insert_webhook("COURSE_ENROLLMENT_CREATED")
    site.insert_webfilter("StudentLoginRequested", description="Ask the CRM")
    return site


def test_upgrade_keeps_the_rows_and_marks_them_legacy(published):
    before = published.sql("SELECT id, created, modified, event, webhook_url, enabled FROM openedx_webhooks_webhook")

    published.manage("migrate", "openedx_webhooks")

    rows = webhooks(published)
    assert before == published.sql(
        "SELECT id, created, modified, event, webhook_url, enabled FROM openedx_webhooks_webhook"
    )
    assert [row[3] for row in rows] == ["legacy", "legacy"]
    secrets = {row[4] for row in rows}
    assert len(secrets) == 2
    assert all(secret.startswith("whsec_") for secret in secrets)
    assert webfilters(published) == [("StudentLoginRequested", 1, "Ask the CRM")]


def test_upgrading_twice_changes_nothing_more(published):
    published.manage("migrate", "openedx_webhooks")
    rows = webhooks(published)

    printed = published.manage("migrate", "openedx_webhooks")

    assert "No migrations to apply" in printed
    assert webhooks(published) == rows
    published.manage("makemigrations", "openedx_webhooks", "--check", "--dry-run")


def test_the_old_package_still_inserts_when_it_comes_back(published):
    published.manage("migrate", "openedx_webhooks")

    published.insert_webhook("STUDENT_REGISTRATION_COMPLETED")
    published.insert_webfilter("StudentRegistrationRequested")

    assert webhooks(published)[-1][1:] == (
        "STUDENT_REGISTRATION_COMPLETED",
        "https://example.com/STUDENT_REGISTRATION_COMPLETED",
        None,
        None,
    )
    assert [row[0] for row in webfilters(published)] == ["StudentLoginRequested", "StudentRegistrationRequested"]


def test_there_and_back_and_there_again(published):
    published.manage("migrate", "openedx_webhooks")

    published.manage("migrate", "openedx_webhooks", "0001_squashed_0007")

    assert published.sql("SELECT id, event, enabled FROM openedx_webhooks_webhook ORDER BY id") == [
        (1, "SESSION_LOGIN_COMPLETED", 1),
        (2, "COURSE_ENROLLMENT_CREATED", 1),
    ]
    published.insert_webhook("STUDENT_REGISTRATION_COMPLETED")

    published.manage("migrate", "openedx_webhooks")

    assert [row[3] for row in webhooks(published)] == ["legacy"] * 3
    assert len({row[4] for row in webhooks(published)} - {None}) == 3


def test_back_with_an_event_that_the_old_column_had_no_room_for(published):
    published.manage("migrate", "openedx_webhooks")
    published.sql(f"UPDATE openedx_webhooks_webhook SET event = '{LONGEST_EVENT_TYPE}' WHERE id = 2")

    published.manage("migrate", "openedx_webhooks", "0001_squashed_0007")

    events = published.sql("SELECT event FROM openedx_webhooks_webhook ORDER BY id")
    assert events == [("SESSION_LOGIN_COMPLETED",), (LONGEST_EVENT_TYPE,)]
    published.insert_webhook("STUDENT_REGISTRATION_COMPLETED")
    published.manage("migrate", "openedx_webhooks")
    assert webhooks(published)[1][1] == LONGEST_EVENT_TYPE


def test_names_that_never_matched_are_corrected_and_switched_off(site):
    site.install_published()
    for old in RENAMED:
        site.insert_webfilter(old)
    site.insert_webfilter("IdvPageUrlRequested", description="Mine")

    site.manage("migrate", "openedx_webhooks")

    rows = webfilters(site)
    assert [(event, enabled) for event, enabled, _ in rows[:-1]] == [(new, 0) for new in RENAMED.values()]
    for old, (_, _, description) in zip(RENAMED, rows[:-1], strict=True):
        assert old in description
        assert "Enable it" in description
    assert rows[-1][2].startswith("Mine\n\n")


def test_a_right_name_that_differs_in_case_alone_stays_switched_on(site):
    site.install_published()
    site.insert_webfilter("IDVPageURLRequested", description="Right")

    site.manage("migrate", "openedx_webhooks")
    site.manage("migrate", "openedx_webhooks", "0010_outbox")
    site.manage("migrate", "openedx_webhooks")

    assert webfilters(site) == [("IDVPageURLRequested", 1, "Right")]


def test_a_corrected_row_that_was_enabled_again_stays_so(site):
    site.install_published()
    site.insert_webfilter("OraSubmissionViewRenderStarted")
    site.manage("migrate", "openedx_webhooks")
    site.sql("UPDATE openedx_webhooks_webfilter SET enabled = 1")

    site.manage("migrate", "openedx_webhooks", "0010_outbox")
    site.manage("migrate", "openedx_webhooks")

    assert [row[:2] for row in webfilters(site)] == [("ORASubmissionViewRenderStarted", 1)]


@pytest.mark.parametrize("auto_field", ["django.db.models.AutoField", "django.db.models.BigAutoField"])
def test_a_new_site_gets_the_same_tables_whatever_its_default_key(site, auto_field):
    site.manage("migrate", "openedx_webhooks", UPGRADE_AUTO_FIELD=auto_field)
    site.manage("makemigrations", "openedx_webhooks", "--check", "--dry-run", UPGRADE_AUTO_FIELD=auto_field)

    site.sql(
        "INSERT INTO openedx_webhooks_webhook (created, modified, event, webhook_url, enabled, use_www_form_encoding)"
        f" VALUES ('2024-02-03 04:05:06', '2024-02-03 04:05:06', '{LONGEST_EVENT_TYPE}', 'https://example.com', 1, 0)"
    )
    assert webhooks(site)[0][1] == LONGEST_EVENT_TYPE


@pytest.mark.services
@pytest.mark.parametrize("site", ["mysql"], indirect=True)
@pytest.mark.parametrize("auto_field", ["django.db.models.AutoField", "django.db.models.BigAutoField"])
def test_the_two_old_tables_keep_int_keys_and_ours_have_bigint(site, auto_field):
    site.install_published()

    site.manage("migrate", "openedx_webhooks", UPGRADE_AUTO_FIELD=auto_field)

    kinds = dict(
        site.sql(
            "SELECT table_name, data_type FROM information_schema.columns"
            " WHERE table_schema = DATABASE() AND column_name = 'id' AND table_name LIKE 'openedx_webhooks_%'"
        )
    )
    assert kinds["openedx_webhooks_webhook"] == kinds["openedx_webhooks_webfilter"] == "int"
    assert kinds["openedx_webhooks_event"] == kinds["openedx_webhooks_delivery"] == "bigint"
