"""The shop's tables, its SQLite file, and the goods that are in it at the start."""

from __future__ import annotations

import os
import random
import tempfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, ForeignKey, NullPool, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

__all__ = ["Base", "Order", "OrderLine", "Product", "User", "open_database"]

GOODS = {
    "Kitchen": ["Teapot", "Whisk", "Pepper mill", "Bread knife", "Colander", "Moka pot"],
    "Garden": ["Trowel", "Watering can", "Seed box", "Pruning shears", "Bird house"],
    "Desk": ["Notebook", "Fountain pen", "Reading lamp", "Paper knife", "Globe", "Abacus"],
    "Workshop": ["Spirit level", "Hand drill", "Rasp", "Vice", "Plumb line", "Oil can"],
}
COLOURS = ["red", "blue", "green", "plain"]
NAMES = (
    "Ada",
    "Alan",
    "Barbara",
    "Claude",
    "Dorothy",
    "Edsger",
    "Frances",
    "Grace",
    "Hedy",
    "Ivan",
    "John",
    "Katherine",
    "Leslie",
    "Margaret",
    "Niklaus",
    "Ole",
    "Phyllis",
    "Radia",
    "Sophie",
    "Tony",
)
ORDERS = 80


class Base(DeclarativeBase):
    """What all tables have in common."""


class Product(Base):
    """Something that the shop sells."""

    __tablename__ = "products"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    category: Mapped[str] = mapped_column(index=True)
    price_cents: Mapped[int]
    stock: Mapped[int]


class User(Base):
    """Someone who orders."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True)
    orders: Mapped[list[Order]] = relationship(back_populates="user", cascade="all, delete")


class Order(Base):
    """What one user ordered at one time."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    ordered: Mapped[datetime]
    user: Mapped[User] = relationship(back_populates="orders")
    lines: Mapped[list[OrderLine]] = relationship(
        back_populates="order", cascade="all, delete", order_by="OrderLine.id"
    )


class OrderLine(Base):
    """One product of an order, and how many of it."""

    __tablename__ = "order_lines"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    quantity: Mapped[int]
    order: Mapped[Order] = relationship(back_populates="lines")
    product: Mapped[Product] = relationship()


def open_database(path: Path) -> Engine:
    """Return an engine on the SQLite file at `path`, which is made and filled if need be."""
    if not path.exists():
        _create(path)
    return _engine(path)


def _engine(path: Path) -> Engine:
    # No pool: a request opens its own connection, so that none is ever shared by two
    # threads or inherited by a forked worker.
    return create_engine(f"sqlite:///{path}", poolclass=NullPool)


def _create(path: Path) -> None:
    """Let the filled database appear as a whole: other workers may be starting as well."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=path.name) as directory:
        draft = Path(directory) / "draft.sqlite"
        engine = _engine(draft)
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            _fill(session)
            session.commit()
        with suppress(FileExistsError):  # another worker was faster; its shop is the same
            os.link(draft, path)


def _fill(session: Session) -> None:
    """Add the same products, users and orders every time."""
    chance = random.Random(7)  # noqa: S311  goods, not secrets
    products = [
        Product(
            name=f"{name}, {colour}",
            category=category,
            price_cents=chance.randrange(300, 9000, 5),
            stock=chance.randrange(0, 60),
        )
        for category, names in GOODS.items()
        for name in names
        for colour in COLOURS
    ]
    users = [User(name=name, email=f"{name.lower()}@example.com") for name in NAMES]
    opening = datetime(2026, 1, 5, 2, tzinfo=UTC)
    orders = [
        Order(
            id=number,
            user=chance.choice(users),
            ordered=opening + timedelta(hours=7 * number),
            lines=[
                OrderLine(product=product, quantity=chance.randint(1, 4))
                for product in chance.sample(products, chance.randint(8, 20))
            ],
        )
        for number in range(1, ORDERS + 1)
    ]
    session.add_all([*products, *users, *orders])
