"""The loop when something goes wrong, and what it leaves behind."""

import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from enhance_jax import config_check, errors, experiment, zoo
from enhance_jax.train import build, hooks, loop, writers
from enhance_jax.train import mesh as mesh_lib
from enhance_jax.train import state as state_lib
from tests.test_config import _load


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
  """Compiled programs of this file's runs are kept for each other."""
  base = tmp_path_factory.getbasetemp() / "loop_cache"
  monkeypatch.setenv("ENHANCE_CACHE", str(base))


def _config(**train):
  """A pixel phase of ten steps, without a discriminator."""
  config = _load("srgan", "smoke")
  config.phase_order = ("pixel",)
  config.phases.pixel.steps = 10
  config.train.update({"log_every": 1, "save_every": 4, "evaluate_every": 10})
  config.train.update(train)
  config_check.validate(config)
  return config


def _run(config, workdir, bad_steps=()):
  """Trains with LR pictures that are not numbers at some steps."""
  parts = build.build(config, mesh_lib.Mesh())
  good = parts.degrade
  keys = [
    jax.random.key_data(state_lib.stream_key(config.seed, "degrade", step))
    for step in bad_steps
  ]

  def degrade(hr, key):
    lr = good(hr, key)
    now = jax.random.key_data(key)
    bad = jnp.array([False])
    for other in keys:
      bad = bad | jnp.all(now == other)
    return jnp.where(bad[0], jnp.nan, lr)

  exported = []
  callbacks = loop.Hooks(
    evaluate=lambda variables: ({"psnr": 1.0}, {}),
    export=lambda name, *rest: exported.append(name),
  )
  workdir.mkdir(exist_ok=True)
  parts = dataclasses.replace(parts, degrade=degrade)
  outcome = loop.Loop(parts, workdir, callbacks, {}).run()
  return outcome, exported


def _rows(workdir: pathlib.Path) -> list[dict]:
  lines = (workdir / "metrics.jsonl").read_text().splitlines()
  return [json.loads(line) for line in lines]


def test_single_bad_updates_are_skipped_and_counted(tmp_path, caplog):
  outcome, exported = _run(_config(), tmp_path, bad_steps=(2, 5))
  assert outcome == loop.Outcome(10, None)
  assert exported == ["generator.pixel", "generator.pixel.raw", "generator"]
  skipped = [row["skipped"] for row in _rows(tmp_path) if "skipped" in row]
  assert skipped == [0, 0, 1, 1, 1, 2, 2, 2, 2, 2]
  assert "step 3 is skipped: loss/l1 is not finite" in caplog.text
  assert "loss/l1" not in _rows(tmp_path)[2]  # no mean of nothing


def test_a_bad_streak_goes_back_once_and_then_stops(tmp_path, capsys):
  """The cause is in the data here, so going back cannot help."""
  config = _config(max_bad_steps=3)
  with pytest.raises(errors.EnhanceError) as error:
    _run(config, tmp_path, bad_steps=(5, 6, 7, 8, 9))
  message = str(error.value)
  assert "loss/l1 was not finite in 3 updates in a row" in message
  assert "up to step 8 (phase pixel), also after going back" in message
  assert "lower the learning rates of config.phases.pixel" in message
  assert "going back to the last checkpoint, once" in capsys.readouterr().err
  steps = [row["step"] for row in _rows(tmp_path)]
  assert steps == sorted(set(steps))


def test_a_bad_streak_without_a_checkpoint_stops(tmp_path):
  with pytest.raises(errors.EnhanceError, match="no checkpoint to go back to"):
    _run(_config(max_bad_steps=2), tmp_path, bad_steps=(0, 1, 2))


def test_several_updates_a_dispatch_change_no_event(tmp_path):
  config = _config(log_every=4, steps_per_dispatch=2)
  config.data.pipeline = "resident"
  _run(config, tmp_path)
  steps = [row["step"] for row in _rows(tmp_path)]
  assert steps == [4, 8, 10, 10]
  kept = {p.name for p in (tmp_path / "checkpoints").iterdir()}
  assert {"8", "10"} <= kept


def test_window_means_survive_a_checkpoint():
  window = hooks.Window()
  window.add({"a": np.float32(0.1), "b": np.float32(1.0)})
  saved = json.loads(json.dumps(window.saved()))
  window.add({"a": np.float32(0.7), "b": np.float32(np.nan)})
  again = hooks.Window(saved)
  again.add({"a": np.float32(0.7)})
  means = window.means()
  assert means == again.means()
  assert means["b"] == 1.0 and means["a"] == pytest.approx(0.4)
  assert window.means() == {}


def test_progress_on_a_terminal():
  class Terminal:
    text = ""

    def isatty(self):
      return True

    def write(self, text):
      self.text += text

    def flush(self):
      pass

  terminal = Terminal()
  moving = hooks.Progress(100, 0, terminal)
  moving.phase = "gan"
  moving.report(50, {"loss/generator": 0.25, "skipped": 2.0})
  moving.report(50, {"validation/psnr": 27.5})
  assert terminal.text.startswith("\r50/100 gan")
  assert "generator 0.25" in terminal.text and "skipped 2" in terminal.text
  assert "left" in terminal.text
  assert "(gan) on held-out pictures: psnr 27.5" in terminal.text
  assert terminal.text.endswith("\n")
  assert [hooks.clock(s) for s in (59.6, 3725, float("inf"))] == [
    "1:00",
    "1:02:05",
    "?",
  ]


def test_tensorboard_files_are_read_back(tmp_path):
  """CLU's writer stands on tensorboardX where TensorFlow is absent."""
  from tensorboardX.proto import event_pb2

  shown = []
  writer = writers.open_writer(
    tmp_path,
    lead=True,
    last_step=0,
    console=lambda step, scalars: shown.append((step, scalars)),
  )
  writer.write_hparams({"config.seed": 1, "name": "x"})
  writer.write_scalars(3, {"loss/l1": np.float32(0.5)})
  writer.write_images(3, {"sr": np.zeros((1, 8, 8, 3), np.uint8)})
  writer.close()
  (file,) = (tmp_path / "tensorboard").glob("events*")
  data, tags, offset = file.read_bytes(), {}, 0
  while offset < len(data):
    # TFRecord: length, its checksum, the event, its checksum.
    length = int.from_bytes(data[offset : offset + 8], "little")
    event = event_pb2.Event.FromString(data[offset + 12 : offset + 12 + length])
    offset += 16 + length
    for value in event.summary.value:
      tags[value.tag] = (event.step, value.simple_value)
  assert tags["loss/l1"] == (3, 0.5) and "sr" in " ".join(tags)
  assert _rows(tmp_path) == [{"step": 3, "loss/l1": 0.5}]
  assert shown == [(3, {"loss/l1": 0.5})]


def test_rows_after_the_checkpoint_are_dropped(tmp_path):
  path = tmp_path / "metrics.jsonl"
  path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
  writers.json_lines_writer(path, 2).close()
  assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


def _photos(folder: pathlib.Path, side: int = 40) -> str:
  folder.mkdir()
  rng = np.random.default_rng(0)
  for i in range(3):
    pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f"{i}.png")
  return f"folder:{folder}"


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"data.train": "folder:/no/such/place"}, "/no/such/place"),
    ({"data.train": "folder:{empty}"}, "no picture in the folder"),
    ({"data.train": "folder:{small}"}, "smaller than the crop of 32"),
    ({"data.validation": "folder:{empty}"}, "config.data.validation"),
    ({"data.batch_size": 6}, "cannot be split over 4 devices; use 4 or 8"),
    ({"generator.name": "srresnt"}, 'did you mean "srresnet"'),
    ({"discriminator.name": "srgn"}, 'did you mean "srgan"'),
    ({"phases.gan.generator_optimizer.name": "adm"}, 'did you mean "adam"'),
  ],
)
def test_settings_that_cannot_work(tmp_path, change, message):
  (tmp_path / "empty").mkdir()
  _photos(tmp_path / "small", side=8)
  config = _load("srgan", "smoke")
  places = {"empty": tmp_path / "empty", "small": tmp_path / "small"}
  change = {
    key: value.format(**places) if isinstance(value, str) else value
    for key, value in change.items()
  }
  config.update_from_flattened_dict(change)
  with pytest.raises(errors.EnhanceError, match=message):
    experiment.train(config, tmp_path / "run")


def test_generator_options_are_checked(tmp_path):
  config = _load("srgan", "smoke")
  config.generator.options = {"widht": 8}
  with pytest.raises(
    errors.EnhanceError, match='"widht"; did you mean "width"'
  ):
    experiment.train(config, tmp_path / "run")


def test_missing_vgg_weights_stop_the_recipe(tmp_path, monkeypatch):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path / "cache"))
  config = _load("srgan", "smoke")
  config.phases.gan.objective = {"vgg54": 1.0, "adversarial": 1e-3}
  with pytest.raises(errors.EnhanceError, match="vgg19"):
    experiment.train(config, tmp_path / "run")


def test_the_folder_of_another_configuration_is_refused(tmp_path):
  config, workdir = _config(), tmp_path / "run"
  experiment.claim(workdir, experiment.record(config, {}, "1 x cpu"))
  config.seed = 9
  experiment.check(workdir, config)  # nothing was trained there yet
  (workdir / "checkpoints" / "4").mkdir(parents=True)
  with pytest.raises(errors.EnhanceError, match="config.seed: 0 -> 9"):
    experiment.check(workdir, config)
  (workdir / "run.json").write_text("{")
  with pytest.raises(errors.EnhanceError, match="not a run record"):
    experiment.check(workdir, config)


def test_a_folder_that_cannot_be_made(tmp_path):
  (tmp_path / "file").touch()
  with pytest.raises(errors.EnhanceError, match="cannot be made"):
    experiment.claim(tmp_path / "file" / "run", {})


def test_train_and_evaluate_leave_what_they_promise(tmp_path, capsys):
  config = _config()
  config.data.train = _photos(tmp_path / "photos")
  (tmp_path / "photos" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nxx")
  config.data.validation = "samples:held_out"
  config.evaluate.sets = str(tmp_path / "photos")
  workdir = tmp_path / "run"
  assert experiment.train(config, workdir) == 0
  assert "1 skipped" in capsys.readouterr().out
  assert experiment.evaluate(config, workdir) == 0
  output = capsys.readouterr().out
  for name in ("nearest", "bilinear", "bicubic", "ours, after pixel"):
    assert name in output
  assert "python" in output and "enhance_jax.upscale" in output
  scores = json.loads((workdir / "evaluation.json").read_text())
  assert scores["protocol"]["color"] == "y"
  entry = scores["models"]["bicubic"]["sets"]["held_out"]
  assert set(entry["images"]) == {"chelsea.png", "coffee.png", "china.jpg"}
  with Image.open(workdir / "comparison.png") as page:
    assert page.width > 500
  bundle = zoo.load_generator(workdir / "generator.safetensors")
  assert bundle.card["step"] == 10 and bundle.card["generative"] is False
  assert experiment.train(config, workdir) == 0
  assert "this run is finished" in capsys.readouterr().out
  config.evaluate.beside = str(workdir / "generator.pixel.raw.safetensors")
  assert experiment.evaluate(config, workdir) == 0
  models = json.loads((workdir / "evaluation.json").read_text())["models"]
  means = [one["sets"]["held_out"]["mean"] for one in models.values()]
  assert list(models)[3] == "run.pixel.raw" and means[3] == means[-1]


@pytest.mark.parametrize("key", ["sets", "beside"])
def test_what_only_the_end_needs_is_missed_at_the_start(key, tmp_path):
  config = _config()
  config.evaluate[key] = str(tmp_path / "nothing")
  with pytest.raises(errors.EnhanceError, match="nothing"):
    experiment.train(config, tmp_path / "run")
  assert not (tmp_path / "run").exists()


def test_evaluating_before_training_says_so(tmp_path):
  with pytest.raises(errors.EnhanceError, match="no finished phase"):
    experiment.evaluate(_config(), tmp_path)
