"""Files of all kinds in Chromium: it plays those that the probe calls playable."""

from __future__ import annotations

import http.server
import threading
from functools import partial

import pytest

from ml.audio.reader import AudioReader
from tests.ml import odd

pytestmark = pytest.mark.browser
SAMPLES = odd.sound(1)

#: Load a file and say whether it plays to its end at high speed.
PLAY = """async (address) => {
  const audio = new Audio();
  audio.muted = true;
  const loaded = await new Promise((done) => {
    audio.onerror = () => done(false);
    audio.oncanplaythrough = () => done(true);
    audio.src = address;
    setTimeout(() => done(false), 5000);
  });
  if (!loaded) return 0;
  audio.playbackRate = 8;
  await audio.play().catch(() => null);
  await new Promise((done) => {
    audio.onended = done;
    audio.onerror = done;
    setTimeout(done, 5000);
  });
  return audio.error ? 0 : audio.currentTime;
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Say nothing."""


def coded(folder, **options):
    return odd.write(folder / "part", SAMPLES, **options).read_bytes()


def files(folder):
    """Files by name; all have a second of sound at least."""
    wav, flac = coded(folder, format="WAV"), coded(folder, format="FLAC")
    ogg = coded(folder, format="OGG", subtype="VORBIS")
    mp3 = odd.write_mp3(folder / "part", SAMPLES).read_bytes()
    made = {f"WAV {sub}": coded(folder, format="WAV", subtype=sub) for sub in SUBTYPES}
    made |= {f"WAVEX {sub}": coded(folder, format="WAVEX", subtype=sub) for sub in ("DOUBLE",)}
    made |= {f"{name}": coded(folder, format=name) for name in ("RF64", "AIFF", "FLAC")}
    made |= {"FLAC 24": coded(folder, format="FLAC", subtype="PCM_24"), "OGG": ogg, "MP3": mp3}
    made |= {"RIFX": coded(folder, format="WAV", subtype="PCM_16", endian="BIG")}
    made |= {"BW64": b"BW64" + made["RF64"][4:]}
    made |= {"crashed recorder": wav[:40] + bytes(4) + wav[44:]}
    made |= {"joined FLAC": flac + flac, "joined WAV": wav + wav, "joined OGG": ogg + ogg}
    made |= {"joined MP3": mp3 + mp3, "FLAC ID3v1": flac + odd.ID3V1}
    for name, raw in (("WAV", wav), ("FLAC", flac), ("OGG", ogg), ("MP3", mp3)):
        made[f"{name} small tag"] = odd.with_id3(raw, 50_000)
        made[f"{name} large tag"] = odd.with_id3(raw, 1_200_000)
        made[f"{name} zero"] = bytes(500) + raw
        made[f"{name} APE tag"] = odd.ape_tag() + raw
        made[f"{name} junk"] = b"\x01\x02\x93junk" * 20 + raw
    del made["MP3 junk"]  # it depends on the junk; the probe says that it does not play
    return made


SUBTYPES = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")


def test_the_probe_knows_what_chromium_plays(browser, tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = browser.new_page()
    address = f"http://127.0.0.1:{server.server_port}"
    page.goto(address)
    wrong = []
    with AudioReader() as reader:
        for name, raw in files(tmp_path).items():
            (folder / "file").write_bytes(raw)
            probe = reader.probe(folder / "file")
            seconds = page.evaluate(PLAY, f"{address}/file?{name}")
            if (probe.unplayable is None) != (seconds > probe.length_s - 0.2):
                wrong.append((name, probe.unplayable, seconds, probe.length_s))
    page.close()
    server.shutdown()
    assert wrong == []
