"""wire.py: the message classes of proto/, made from the descriptor set that the build writes."""
import os

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_set = descriptor_pb2.FileDescriptorSet()
with open(os.environ["PROTOSET"], "rb") as f:
    _set.ParseFromString(f.read())
_pool = descriptor_pool.DescriptorPool()
for _f in _set.file:
    _pool.Add(_f)
_factory = message_factory.MessageFactory(_pool)


def message(name):
    """The class of a message, by its full name."""
    return _factory.GetPrototype(_pool.FindMessageTypeByName(name))


Void = message("proto.Void")
Request = message("proto.Request")
Response = message("proto.Response")
HealthResponse = message("proto.HealthResponse")
TopicList = message("proto.TopicList")
ProxyMessage = message("proto.ProxyMessage")
PublishRequest = message("proto.PublishRequest")
PublishResponse = message("proto.PublishResponse")
SubscribeRequest = message("proto.SubscribeRequest")
SubscribeResponse = message("proto.SubscribeResponse")
ExposeNodesRequest = message("proto.ExposeNodesRequest")
ExposeNodesResponse = message("proto.ExposeNodesResponse")
SessionRequest = message("proto.SessionRequest")
SessionResponse = message("proto.SessionResponse")
