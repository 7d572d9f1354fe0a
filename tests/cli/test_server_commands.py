"""Commands that ask a server: where it has another store than ours, and where it has the same."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from support.serving import ANSWER, EXAMPLE, MODEL, QUESTION, serving, tiny_store, until

from modelpack.oci.digest import Digest
from modelpack.server.registry import RegistrySettings, running

pytestmark = pytest.mark.model


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A server over a store of its own, named by the environment."""
    with serving(tiny_store(tmp_path)) as served:
        monkeypatch.setenv("OLLAMA_HOST", served.url)
        yield served


@pytest.fixture
def modelfile(tmp_path):
    """A copy of the example, which is ours to change."""
    shutil.copytree(EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns("*.py"))
    return tmp_path / "example" / "Modelfile"


def names(cli) -> list[str]:
    return [line.split()[0] for line in cli("list").lines[1:]]


def test_models_of_the_server_are_listed_shown_named_and_removed(cli, served):
    assert names(cli) == ["tiny:latest"]
    assert cli("list", "--json").json[0]["digest"].startswith("sha256:")
    assert "llama" in cli("show", MODEL).out
    assert cli("show", MODEL, "--modelfile").out.startswith("# Modelfile")
    assert cli("cp", MODEL, "second").out == "copied 'tiny' to 'second'\n"
    assert names(cli) == ["second:latest", "tiny:latest"]
    assert cli("rm", "second").out == "deleted 'second'\n"
    assert "not found" in cli("rm", "second").error(3)


def test_run_asks_the_server(cli, served):
    assert cli("run", MODEL, QUESTION).out == f"{ANSWER}\n"
    table = cli("ps").lines
    assert table[0].split() == ["NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"]
    assert re.match(
        r"tiny:latest +[0-9a-f]{12} +\d+ MB +100% CPU +1024 +4 minutes from now", table[1]
    )
    assert cli("ps", "--json").json[0]["processor"] == "100% CPU"
    assert cli("stop", MODEL).code == 0
    until(lambda: cli("ps").lines[1:] == [])
    assert "couldn't find model" in cli("stop", "nothing").error(3)


def test_run_keeps_a_model_as_long_as_it_is_told(cli, served):
    assert cli("run", MODEL, "--keepalive", "-1", "hello").code == 0
    assert cli("ps").lines[1].rstrip().endswith("Forever")


def test_create_sends_what_the_modelfile_names(cli, served, modelfile):
    (modelfile.parent / "CARD.md").write_text("# A card\n")
    modelfile.write_text(modelfile.read_text() + "\nDOC CARD.md\nSYSTEM You are called Ada.\n")
    assert "created 'ada'" in cli("create", "ada", "-f", modelfile).err
    entry = served.context.find("ada")
    paths = {layer.annotations["org.cncf.model.filepath"] for layer in entry.manifest.layers}
    assert {"tiny.gguf", "CARD.md", "modelpack/system"} <= paths
    assert "Ada" in cli("run", "ada", "Who are you?").out
    assert "ada:latest" in names(cli)


def test_documents_of_the_same_name_keep_their_own_bytes(cli, served, modelfile):
    for name in ("a", "b"):
        (modelfile.parent / name).mkdir()
        (modelfile.parent / name / "README.md").write_text(f"# {name}\n")
    modelfile.write_text(modelfile.read_text() + "\nDOC a/README.md\nDOC b/README.md\n")
    assert cli("create", "two", "-f", modelfile).code == 0
    store, layers = served.context.store, served.context.find("two").manifest.layers
    texts = {one.annotations["org.cncf.model.filepath"]: one for one in layers}
    for name in ("a", "b"):
        assert store.read(texts[f"{name}/README.md"], 100) == f"# {name}\n".encode()


def test_pull_and_push_are_the_servers_work(cli, served, tmp_path):
    with running(RegistrySettings(root=tmp_path / "registry", listen="127.0.0.1:0")) as url:
        name = f"{url.removeprefix('http://')}/demo/tiny:1"
        cli("cp", MODEL, name)
        assert cli("push", name).code == 0
        cli("rm", name)
        assert cli("pull", name).code == 0
        assert name in names(cli)
        assert cli("run", name, QUESTION).out == f"{ANSWER}\n"


def test_a_model_that_was_built_here_is_pushed_and_run_from_here(cli, served, modelfile, tmp_path):
    with running(RegistrySettings(root=tmp_path / "registry", listen="127.0.0.1:0")) as url:
        name = f"{url.removeprefix('http://')}/demo/own:1"
        assert cli("build", "-q", "-f", modelfile, "-t", name).code == 0
        assert cli("push", "-q", name).out.startswith("sha256:")
        assert name not in names(cli)
        assert cli("run", name, QUESTION).out == f"{ANSWER}\n"
        assert cli("ps").lines[1:] == []


def test_the_store_is_used_where_the_server_has_the_same_or_is_not_wanted(
    cli, tmp_path, monkeypatch
):
    context = tiny_store(tmp_path)
    monkeypatch.setenv("MODELPACK_MODELS", str(context.store.layout.root))
    with serving(context) as served:
        monkeypatch.setenv("MODELPACK_HOST", served.url)
        cli("cp", MODEL, "second")
        assert set(names(cli)) == {"second:latest", "tiny:latest"}
        answer = served.ask("GET", "/api/tags").json()
        assert {model["name"] for model in answer["models"]} == {"second:latest", "tiny:latest"}
        monkeypatch.setenv("MODELPACK_LOCAL", "1")
        assert cli("run", MODEL, QUESTION).out == f"{ANSWER}\n"
        assert served.ask("GET", "/api/ps").json()["models"] == []


def test_no_server_is_said_plainly(cli, monkeypatch):
    monkeypatch.setenv("MODELPACK_HOST", "127.0.0.1:1")
    assert "cannot reach the server at http://127.0.0.1:1" in cli("ps").error(10)
    assert cli("list").code == 0  # the store is here
    monkeypatch.setenv("MODELPACK_HOST", "nowhere.invalid:1")
    assert "does not answer" in cli("list").error(10)
    monkeypatch.setenv("MODELPACK_HOST", "::::")
    assert "not an address" in cli("ps").error(2)


def test_what_a_push_of_the_server_leaves_behind_is_a_warning_here(cli, served, tmp_path):
    with running(RegistrySettings(root=tmp_path / "registry", listen="127.0.0.1:0")) as url:
        name = f"{url.removeprefix('http://')}/team/tiny:1"
        cli("cp", MODEL, name)
        subject = served.context.find(MODEL).manifest.digest
        lost = served.context.store.layout.referrer(subject, Digest.of(b"a signature"))
        lost.parent.mkdir(parents=True)
        lost.write_bytes(b"A signature")
        pushed = cli("push", "-q", name)
    assert pushed.code == 0
    assert pushed.err.startswith("Warning: left behind sha256:")
    assert pushed.err.count("\n") == 1


def test_keys_are_made_listed_and_removed(cli, tmp_path):
    path = tmp_path / "keys"
    secret = cli("keys", "add", "ci", "--scope", "infer,metrics", "--file", path).out.strip()
    assert secret.startswith("mp_")
    assert cli("keys", "list", "--file", path, "--json").json == [
        {"name": "ci", "scopes": ["infer", "metrics"]}
    ]
    assert cli("keys", "remove", "ci", "--file", path).code == 0
    assert "no key" in cli("keys", "remove", "ci", "--file", path).error(3)
    assert "no file" in cli("keys", "list").error(2)


def test_keys_are_where_the_server_looks_for_them(cli, clean_environment, monkeypatch):
    monkeypatch.setenv("MODELPACK_API_KEYS_FILE", "~/keys")
    cli("keys", "add", "ci")
    assert (clean_environment / "keys").is_file()


def test_a_key_is_shown_to_a_server_that_wants_one(cli, tmp_path, monkeypatch):
    path = tmp_path / "keys"
    secret = cli("keys", "add", "me", "--scope", "infer", "--file", path).out.strip()
    with serving(tiny_store(tmp_path), MODELPACK_API_KEYS_FILE=str(path)) as served:
        monkeypatch.setenv("MODELPACK_HOST", served.url)
        assert "an API key is needed" in cli("ps").error(10)
        monkeypatch.setenv("MODELPACK_API_KEY", secret)
        assert cli("ps").code == 0
        assert "does not allow manage" in cli("rm", MODEL).error(10)


def test_serve_says_every_variable_with_its_value(cli, monkeypatch):
    monkeypatch.setenv("OLLAMA_KEEP_ALIVE", "7m")
    text = cli("serve", "--help").out
    assert re.search(r"MODELPACK_KEEP_ALIVE +how long .* \[7m\]", text)
    assert re.search(r"MODELPACK_NUM_PARALLEL +.* \[4\]", text)


def test_a_service_is_written_into_an_image(cli, tmp_path):
    said = cli("service", "install", "--root", tmp_path, "--program", "/usr/bin/modelpack")
    assert said.code == 0
    unit = (tmp_path / "etc/systemd/system/modelpack.service").read_text()
    assert "ExecStart=/usr/bin/modelpack serve" in unit
    assert "ProtectSystem=strict" in unit
    override = tmp_path / "etc/systemd/system/modelpack.service.d/override.conf"
    override.write_text("[Service]\nEnvironment=HSA_OVERRIDE_GFX_VERSION=10.3.0\n")
    cli("service", "install", "--root", tmp_path, "--program", "/usr/bin/modelpack")
    assert "10.3.0" in override.read_text()  # what an administrator wrote stays
    assert cli("service", "uninstall", "--root", tmp_path).code == 0
    assert "not installed" in cli("service", "uninstall", "--root", tmp_path).error(2)
    assert "[Service]" in cli("service", "install", "--print", "--program", "/x").out


def test_the_unit_is_what_systemd_understands(tmp_path):
    import subprocess

    from modelpack.ops import service

    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    unit = tmp_path / "modelpack.service"
    text = service.unit_text(shutil.which("true") or "/bin/true", groups=())
    unit.write_text(re.sub(r"(?m)^(User|Group)=.*\n", "", text))  # nobody made that user here
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if "modelpack.service" in line]
    assert (done.returncode, complaints) == (0, [])


def test_status_of_a_service_tells_whether_it_answers(cli, served):
    said = cli("service", "status")
    assert "version" in said.out
    assert json.dumps(served.url)[1:-1] in said.out
