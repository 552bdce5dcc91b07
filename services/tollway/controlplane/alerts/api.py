"""The methods of `AlertService`."""

from __future__ import annotations

from tollway.controlplane.alerts import channels, model, reading
from tollway.controlplane.call import Method

_ALERTS = "tollway.control.v1.AlertService"


def methods(test: reading.ChannelTest) -> dict[str, Method]:
    """The methods by full name; `test` sends over the process's own senders."""
    return {
        f"{_ALERTS}/CreateAlertChannel": Method(model.CreateAlertChannelRequest, channels.create_channel),
        f"{_ALERTS}/GetAlertChannel": Method(model.GetAlertChannelRequest, channels.get_channel),
        f"{_ALERTS}/ListAlertChannels": Method(model.ListAlertChannelsRequest, channels.list_channels, filters=True),
        f"{_ALERTS}/UpdateAlertChannel": Method(model.UpdateAlertChannelRequest, channels.update_channel),
        f"{_ALERTS}/DeleteAlertChannel": Method(model.DeleteAlertChannelRequest, channels.delete_channel),
        f"{_ALERTS}/TestAlertChannel": Method(model.TestAlertChannelRequest, test.run),
        f"{_ALERTS}/ListAlerts": Method(model.ListAlertsRequest, reading.list_alerts, filters=True),
        f"{_ALERTS}/AcknowledgeAlert": Method(model.AcknowledgeAlertRequest, reading.acknowledge),
        f"{_ALERTS}/ListAlertDeliveries": Method(
            model.ListAlertDeliveriesRequest, reading.list_deliveries, filters=True
        ),
    }
