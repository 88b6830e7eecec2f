"""The pages that show what arrived."""

import json
from email.message import EmailMessage

from tests.simulator.clients import Simulator
from tests.simulator.mail import SENDER, session

PERSON = {
    "id": "U0000001",
    "name": "杜萍",
    "phone": "+8613800138777",
    "email": "u777@users.example",
    "jpush": ["device-777"],
}


def page(simulator: Simulator, path: str) -> str:
    reply = simulator.call("GET", path)
    assert reply.status == 200 and "default-src 'none'" in reply.headers["content-security-policy"]
    return reply.body.decode()


def test_one_person_has_all_three(simulator: Simulator) -> None:
    assert simulator.call("PUT", "/_sim/people", json.dumps([PERSON])).json["people"] == 1
    simulator.control({"world": {"jpush": {"offline": 1.0}}})
    simulator.push("device-777")
    simulator.send_sms("13800138777")
    mail = EmailMessage()
    mail["Subject"], mail["From"] = "十一月<账单>", "优选银行 <service@ums.example>"
    mail.set_content("plain words")
    mail.add_alternative("<b>rich</b> words", subtype="html")
    with session(simulator) as client:
        client.sendmail(SENDER, ["u777@users.example"], mail.as_bytes())
    text = page(simulator, "/_sim/phones/U0000001")
    assert "设备离线，未送达" in text and "尊敬的杜萍，您的账户余额为12.50元" in text
    assert "十一月&lt;账单&gt;" in text and 'sandbox="" title="HTML" srcdoc="&lt;b&gt;rich' in text
    assert "device offline, not delivered" in page(simulator, "/_sim/phones/U0000001?lang=en")
    assert "<iframe" in text and "http-equiv" not in text


def test_the_list_finds_people_and_strangers(simulator: Simulator) -> None:
    simulator.call("PUT", "/_sim/people", json.dumps([PERSON]))
    simulator.send_sms("13900009999")
    assert "13900009999" in page(simulator, "/_sim/phones")
    assert "杜萍" in page(simulator, "/_sim/phones?q=u777@") and "13900009999" not in page(
        simulator, "/_sim/phones?q=u777@"
    )
    link = page(simulator, "/_sim/phones?q=13900009999").split('class="card" href="')[1].split('"')[0]
    assert "13900009999" in page(simulator, link)
    assert simulator.call("GET", "/_sim/phones/U999").status == 404
