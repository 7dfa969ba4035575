"""Browser extensions, and the contexts of a browser."""

import zipfile

import pytest
from agb.extension import ExtensionsService
from agb.modules.browser import BrowserFingerprintContext
from agb.session_params import BrowserContext, CreateSessionParams
from conftest import create, new_name, shell


@pytest.fixture
def extension_file(tmp_path):
    def make(version):
        path = tmp_path / f"extension-{version}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("manifest.json", f'{{"version": "{version}"}}')
        return str(path)

    return make


def test_extensions_are_stored_listed_replaced_and_deleted(agb, extension_file):
    service = ExtensionsService(agb, new_name("extensions"))
    one, two = service.create(extension_file(1)), service.create(extension_file(2))
    assert {extension.id for extension in service.list()} == {one.id, two.id}
    assert service.update(one.id, extension_file(3)).id == one.id
    assert len(service.list()) == 2
    with pytest.raises(ValueError):
        service.update("none.zip", extension_file(4))
    with pytest.raises(ValueError):
        service.create(__file__)
    assert service.delete(two.id)
    assert [extension.id for extension in service.list()] == [one.id]
    assert service.cleanup()
    assert not agb.context.get(context_id=service.context_id).success


def test_a_session_gets_the_extensions_that_it_asks_for(agb, extension_file):
    service = ExtensionsService(agb, new_name("extensions"))
    wanted, other = service.create(extension_file(1)), service.create(extension_file(2))
    browser = agb.context.create(new_name("browser")).context
    option = service.create_extension_option([wanted.id])
    session = create(
        agb,
        image="agb-browser-use-1",
        browser_context=BrowserContext(browser.id, auto_upload=True, extension_option=option),
    )
    names = shell(session, "ls -R /tmp/extensions")
    assert wanted.id.removesuffix(".zip") in names and other.id.removesuffix(".zip") not in names
    assert session.delete().success
    # Auto upload is off for them: they are as they were.
    assert {extension.id for extension in service.list()} == {wanted.id, other.id}


def test_what_a_browser_remembers_comes_back_in_the_next_session(agb):
    browser = agb.context.create(new_name("browser")).context
    fingerprint = agb.context.create(new_name("fingerprint")).context

    def open_session():
        context = BrowserContext(
            browser.id, auto_upload=True, fingerprint_context=BrowserFingerprintContext(fingerprint.id)
        )
        return create(agb, image="agb-browser-use-1", browser_context=context)

    session = open_session()
    data = "/tmp/agb_browser_data"
    shell(session, f"mkdir -p {data}/Default && echo cookies > {data}/Default/Cookies && echo cache > {data}/Default/Cache")
    shell(session, f"echo state > '{data}/Local State'; echo print > /tmp/agb_browser_fingerprint/fingerprint.json")
    assert session.delete(sync_context=True).success

    session = open_session()
    assert shell(session, f"cat {data}/Default/Cookies '{data}/Local State'") == "cookies\nstate\n"
    assert shell(session, f"ls {data}/Default") == "Cookies\n"
    assert session.delete().success
