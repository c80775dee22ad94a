"""The edges of Livery: files, the command line, WebRTC in and out, the server and its page."""
