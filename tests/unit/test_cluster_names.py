"""What people mean by the name of an app or a task."""

import pytest

from shipper.cluster.model import App, Task
from shipper.cluster.names import find, nearest, one_of
from shipper.errors import QueryError


def _app(app_id: str, *tasks: Task) -> App:
    return App(app_id, "v", {}, 1, (), tasks, (), {})


UUID = "b6ff5fa5-7714-11e7-a55c-5ecf1c4671f6"
API = _app("/shop/api", Task(f"shop_api.{UUID}", "/shop/api", "h", state="TASK_RUNNING"))
SHOP = _app("/shop")
TWO = _app(
    "/shop/cart",
    Task("shop_cart.1111111", "/shop/cart", "h"),
    Task("shop_cart.2222222", "/shop/cart", "h", state="TASK_FAILED"),
)
APPS = [SHOP, API, TWO, _app("/pay/api"), _app("/x/y/z")]


@pytest.mark.parametrize(
    ("name", "app_id", "tasks"),
    [
        ("/shop/api", "/shop/api", 1), ("shop/api", "/shop/api", 1), ("shop", "/shop", 0), ("y/z", "/x/y/z", 0),
        ("z/", "/x/y/z", 0), (f"shop_api.{UUID}", "/shop/api", 1), (UUID, "/shop/api", 1), ("b6ff5fa5", "/shop/api", 1),
        ("shop_cart.2222222", "/shop/cart", 1), ("cart", "/shop/cart", 2),
    ],
)  # fmt: skip
def test_names(name: str, app_id: str, tasks: int) -> None:
    meant = find(APPS, name)
    assert meant is not None
    assert (meant.app.id, len(meant.tasks)) == (app_id, tasks)


@pytest.mark.parametrize("name", ["", "/", "ap", "b6ff", "hop/api", "/none"])
def test_what_means_nothing(name: str) -> None:
    assert find(APPS, name) is None


@pytest.mark.parametrize(
    ("name", "said"), [("api", "/shop/api, /pay/api"), ("shop_cart.", "shop_cart.1111111, shop_cart.2222222")]
)
def test_what_means_more_than_one_thing(name: str, said: str) -> None:
    with pytest.raises(QueryError, match=f"{name} may be {said}; name one of them"):
        find(APPS, name)


def test_the_one_that_runs() -> None:
    meant = find(APPS, "shop/cart")
    assert meant is not None
    assert one_of(meant).id == "shop_cart.1111111"
    empty = find(APPS, "/shop")
    assert empty is not None
    with pytest.raises(QueryError, match="no task of /shop runs now"):
        one_of(empty)


def test_suggestions() -> None:
    assert nearest(APPS, "shop/apy")[0] == "/shop/api"
    assert nearest(APPS, "crat") == ["/shop/cart"]
    assert nearest(APPS, "nothing like it") == []
    assert nearest([_app("/a\x1b[31m")], "a\x1b[31") == ["/a?[31m"]
