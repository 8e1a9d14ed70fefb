"""Where pictures come from: files, folders, lists, URLs, videos, cameras and streams."""
