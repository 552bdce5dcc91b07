"""The methods of `PriceService`."""

from __future__ import annotations

from tollway.controlplane.call import Method
from tollway.controlplane.prices import importing, model, rerating, service

_PRICES = "tollway.control.v1.PriceService"

METHODS: dict[str, Method] = {
    f"{_PRICES}/ListPrices": Method(model.ListPricesRequest, service.list_prices),
    f"{_PRICES}/GetPrice": Method(model.GetPriceRequest, service.get_price),
    f"{_PRICES}/SetPrice": Method(model.SetPriceRequest, service.set_price),
    f"{_PRICES}/EndPrice": Method(model.EndPriceRequest, service.end_price),
    f"{_PRICES}/ImportPrices": Method(model.ImportPricesRequest, importing.import_prices),
    f"{_PRICES}/ListPriceImports": Method(model.ListPriceImportsRequest, importing.list_imports),
    f"{_PRICES}/Rerate": Method(model.RerateRequest, rerating.rerate),
}
