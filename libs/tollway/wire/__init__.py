"""The contract on the wire: codecs, gRPC clients and servers, REST transcoding. Alone in touching generated code."""
