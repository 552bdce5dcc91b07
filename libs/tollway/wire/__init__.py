"""The contract on the wire: codecs, gRPC clients and servers, REST transcoding. Only this package touches generated code."""
