"""Twenty of the questions of sql/examples, asked of every order that is kept, in Tidemark's SQL and in DuckDB's.

Where a file of sql/examples reads `orders` it is asked as it is; of the others it is their sense over `orders`. Both
dialects share one text. They differ where quotients are rounded: DuckDB divides decimals as doubles, so there whole
hundredths are divided, which is exact.
"""
import dataclasses
import pathlib

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent / "sql/examples"
PAID = "event_type IN ('paid', 'deposit', 'balance')"
DUCKDB_MACROS = """
CREATE TEMP MACRO hundredths(amount) AS CAST(amount * 100 AS HUGEINT);
CREATE TEMP MACRO quotient(above, below) AS CAST((2 * above + below) // (2 * below) AS DOUBLE) / 100;
"""


@dataclasses.dataclass
class Dialect:
    """How a quotient is rounded half up to two digits, exactly."""
    percent: callable
    each: callable


TIDEMARK = Dialect(
    lambda part, whole: f"CAST(100.0 * {part} / NULLIF({whole}, 0) AS DECIMAL(9, 2))",
    lambda total, count: f"CAST({total} / NULLIF({count}, 0) AS DECIMAL(18, 2))")
DUCKDB = Dialect(
    lambda part, whole: f"quotient(10000 * hundredths({part}), hundredths({whole}))",
    lambda total, count: f"quotient(hundredths({total}), {count})")


def cancelled_orders(to):
    placed, cancelled = (f"COUNT(*) FILTER (WHERE event_type = '{kind}')" for kind in ("placed", "cancelled"))
    return f"""SELECT event_date AS day, {placed} AS placed, {cancelled} AS cancelled,
  {to.percent(cancelled, placed)} AS cancelled_percent, COUNT(*) FILTER (WHERE event_type = 'paid') AS paid
FROM orders GROUP BY event_date ORDER BY day"""


def gmv_by_hour(_):
    return f"""SELECT hour, SUM(amount) AS gmv, COUNT(*) AS payments,
  SUM(SUM(amount)) OVER (PARTITION BY day ORDER BY hour) AS gmv_so_far
FROM (SELECT date_trunc('hour', event_time) AS hour, event_date AS day, amount FROM orders WHERE {PAID}) AS paid
GROUP BY day, hour ORDER BY hour, day"""


def province_ranking(to):
    return f"""SELECT RANK() OVER (ORDER BY SUM(amount) DESC) AS place, province, SUM(amount) AS gmv, COUNT(*) AS payments,
  {to.percent("SUM(amount)", "SUM(SUM(amount)) OVER ()")} AS share_percent
FROM orders WHERE {PAID} AND event_date = (SELECT MAX(event_date) FROM orders)
GROUP BY province ORDER BY place, province"""


def category_order_value(to):
    return f"""SELECT category, SUM(amount) AS gmv, COUNT(*) AS payments, {to.each("SUM(amount)", "COUNT(*)")} AS payment
FROM orders WHERE {PAID} GROUP BY category ORDER BY payment DESC, category"""


def channel_mix(to):
    return f"""SELECT event_date AS day, channel, SUM(amount) AS gmv, COUNT(*) AS payments,
  {to.percent("SUM(amount)", "SUM(SUM(amount)) OVER (PARTITION BY event_date)")} AS share_percent
FROM orders WHERE {PAID} GROUP BY event_date, channel ORDER BY day, gmv DESC, channel"""


def cities_of_provinces(to):
    return f"""SELECT province, city, gmv, share_percent
FROM (
  SELECT province, city, SUM(amount) AS gmv,
    {to.percent("SUM(amount)", "SUM(SUM(amount)) OVER (PARTITION BY province)")} AS share_percent,
    ROW_NUMBER() OVER (PARTITION BY province ORDER BY SUM(amount) DESC, city) AS nth
  FROM orders WHERE {PAID} GROUP BY province, city
) AS cities
WHERE nth = 1 ORDER BY gmv DESC, province"""


def cross_border_countries(to):
    return f"""SELECT country, currency, SUM(amount) AS amount, COUNT(*) AS payments,
  {to.each("SUM(amount)", "COUNT(*)")} AS payment
FROM orders WHERE {PAID} AND country IS NOT NULL GROUP BY country, currency ORDER BY amount DESC, country, currency"""


def cross_border_share(to):
    abroad = "SUM(amount) FILTER (WHERE country IS NOT NULL)"
    return f"""SELECT event_date AS day, {abroad} AS cross_border, COUNT(country) AS payments,
  COUNT(DISTINCT country) AS countries, {to.percent(abroad, "SUM(amount)")} AS share_percent
FROM orders WHERE {PAID} GROUP BY event_date ORDER BY day"""


def live_rooms(to):
    live, other = (f"FILTER (WHERE channel {which} 'live')" for which in ("=", "<>"))
    return f"""SELECT event_date AS day, SUM(amount) {live} AS live, COUNT(*) {live} AS payments,
  {to.percent(f"SUM(amount) {live}", "SUM(amount)")} AS share_percent,
  {to.each(f"SUM(amount) {live}", f"COUNT(*) {live}")} AS live_payment,
  {to.each(f"SUM(amount) {other}", f"COUNT(*) {other}")} AS other_payment
FROM orders WHERE {PAID} GROUP BY event_date ORDER BY day"""


def presale_funnel(to):
    return f"""SELECT deposits.day, COUNT(*) AS deposits, SUM(deposits.amount) AS deposited, COUNT(balances.order_id) AS balances,
  SUM(balances.amount) AS balanced, {to.percent("COUNT(balances.order_id)", "COUNT(*)")} AS balances_percent
FROM (
  SELECT order_id, MIN(event_date) AS day, SUM(amount) AS amount FROM orders WHERE event_type = 'deposit' GROUP BY order_id
) AS deposits
LEFT JOIN (
  SELECT order_id, SUM(amount) AS amount FROM orders WHERE event_type = 'balance' GROUP BY order_id
) AS balances ON balances.order_id = deposits.order_id
GROUP BY deposits.day ORDER BY deposits.day"""


def refund_rate_by_category(to):
    paid, refunded = f"SUM(amount) FILTER (WHERE {PAID})", "SUM(amount) FILTER (WHERE event_type = 'refunded')"
    return f"""SELECT category, {paid} AS paid, {refunded} AS refunded, {to.percent(refunded, paid)} AS refund_percent,
  COUNT(DISTINCT order_id) FILTER (WHERE event_type = 'refunded') AS refunded_orders
FROM orders WHERE category IS NOT NULL GROUP BY category ORDER BY refund_percent DESC, category"""


def net_by_order_day(_):
    return f"""SELECT opened.day, COUNT(*) AS orders, SUM(money.paid) AS paid, SUM(money.refunded) AS refunded
FROM (
  SELECT order_id, MIN(event_date) AS day FROM orders WHERE event_type IN ('placed', 'deposit') GROUP BY order_id
) AS opened
JOIN (
  SELECT order_id, SUM(amount) FILTER (WHERE {PAID}) AS paid, SUM(amount) FILTER (WHERE event_type = 'refunded') AS refunded
  FROM orders WHERE {PAID} OR event_type = 'refunded' GROUP BY order_id
) AS money ON money.order_id = opened.order_id
GROUP BY opened.day ORDER BY opened.day"""


def routes(_):
    return f"""SELECT seller_city, province, SUM(amount) AS gmv, COUNT(*) AS payments
FROM orders WHERE {PAID} GROUP BY seller_city, province ORDER BY gmv DESC, seller_city, province LIMIT 20"""


def value_per_buyer(to):
    return f"""SELECT event_date AS day, COUNT(DISTINCT buyer_id) AS buyers,
  {to.each("SUM(amount)", "COUNT(DISTINCT buyer_id)")} AS gmv_a_buyer, {to.each("SUM(amount)", "COUNT(*)")} AS payment
FROM orders WHERE {PAID} GROUP BY event_date ORDER BY day"""


def brand_concentration(to):
    return f"""SELECT nth, brand, gmv, {to.percent("SUM(gmv) OVER (ORDER BY nth)", "total")} AS share_so_far_percent
FROM (
  SELECT ROW_NUMBER() OVER (ORDER BY SUM(amount) DESC, brand) AS nth, brand, SUM(amount) AS gmv,
    SUM(SUM(amount)) OVER () AS total
  FROM orders WHERE {PAID} GROUP BY brand
) AS brands
WHERE nth <= 20 ORDER BY nth"""


def busy_minutes(to):
    return f"""SELECT minute, gmv, {to.percent("gmv * minutes", "total")} AS of_average_percent
FROM (
  SELECT date_trunc('minute', event_time) AS minute, SUM(amount) AS gmv, COUNT(*) OVER () AS minutes,
    SUM(SUM(amount)) OVER () AS total
  FROM orders WHERE {PAID} GROUP BY date_trunc('minute', event_time)
) AS by_minute
WHERE gmv * minutes > 2 * total ORDER BY gmv DESC, minute LIMIT 100"""


def orders_per_second_peak(_):
    return """SELECT date_trunc('second', event_time) AS "second", COUNT(*) AS orders
FROM orders WHERE event_type = 'placed' GROUP BY date_trunc('second', event_time) ORDER BY orders DESC, "second" LIMIT 5"""


def late_by_source(to):
    late = "COUNT(*) FILTER (WHERE late)"
    return f"""SELECT source, COUNT(*) AS records, {late} AS late, {to.percent(late, "COUNT(*)")} AS late_percent,
  MAX(source_seq) - MIN(source_seq) + 1 - COUNT(DISTINCT source_seq) AS missing, MAX(lag_ms) AS lag_ms_max
FROM orders GROUP BY source ORDER BY late DESC, source"""


def new_and_returning_buyers(_):
    return (EXAMPLES / "new_and_returning_buyers.sql").read_text()


def refund_rate_by_hour(to):
    text = (EXAMPLES / "refund_rate_by_hour.sql").read_text()
    if to is TIDEMARK:
        return text
    written = "CAST(100.0 * COUNT(refunded.order_id) / COUNT(*) AS DECIMAL(5, 2))"
    assert written in text, "refund_rate_by_hour.sql divides otherwise than this knows"
    return text.replace(written, to.percent("COUNT(refunded.order_id)", "COUNT(*)"))


ASKED = [
    new_and_returning_buyers, refund_rate_by_hour, gmv_by_hour, province_ranking, category_order_value, channel_mix,
    cities_of_provinces, cross_border_countries, cross_border_share, live_rooms, presale_funnel, refund_rate_by_category,
    net_by_order_day, routes, value_per_buyer, brand_concentration, busy_minutes, orders_per_second_peak, cancelled_orders,
    late_by_source,
]
