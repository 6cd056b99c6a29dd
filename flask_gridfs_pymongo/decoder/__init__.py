"""Decodes what strangers upload, in child processes: bytes in, bytes out; knows neither HTTP nor MongoDB.

::

    with slot() as decoder:
        answer, data = decoder.perform("picture", {"width": 640, "height": 640}, [photo], len(photo))

``pool.py`` and ``process.py`` are the application's side, ``worker.py`` and what it imports the child's.
"""
