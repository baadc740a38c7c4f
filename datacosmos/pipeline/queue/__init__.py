"""The queue between receipt and store: one JetStream work-queue stream and one durable consumer for all writers.

A message is one Delivery, as MessagePack, under its id: publishing it again within the stream's window adds nothing.
"""

from datacosmos.pipeline.queue.connection import connect
from datacosmos.pipeline.queue.consumer import Consumer, Taken
from datacosmos.pipeline.queue.stream import ACK_WAIT, SAME_ID_WINDOW, Flight, Queue, QueueState

__all__ = ["ACK_WAIT", "SAME_ID_WINDOW", "Consumer", "Flight", "Queue", "QueueState", "Taken", "connect"]
