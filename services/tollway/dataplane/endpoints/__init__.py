"""The client's side of every API call: how it is read, who may answer it in which words, how the answer is told."""
