"""What all routes share: keys and limits, bodies of requests, replies that can be streams."""
