import copy

import pytest
import torch
from torch import nn

from facedet.modules.muon import Muon, orthogonalised


def network():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.PReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 6, 1),
        nn.Flatten(), nn.Linear(150, 2),
    )  # fmt: skip


def train(net, optimizer, steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):

        def closure():
            optimizer.zero_grad()
            loss = (net(torch.randn(2, 3, 9, 9, generator=generator)) - 1).square().mean()
            loss.backward()
            return loss

        loss = optimizer.step(closure)
    return loss.item()


def muon(params, **settings):
    return Muon(params, **{"lr": 0.01, "matrix_factor": 5.0, "momentum": 0.9} | settings)


def iterated(value):
    for _ in range(5):
        value = 3.4445 * value - 4.775 * value**3 + 2.0315 * value**5
    return value


def test_the_singular_values_are_brought_together_and_the_directions_stay():
    # U S Vᵀ with a diagonal S: every value goes through the polynomial by itself.
    matrix = torch.diag(torch.tensor([3.0, 2.0, 0.5])).double() @ torch.eye(3, 7).double()
    norm = (9 + 4 + 0.25) ** 0.5
    expected = torch.diag(torch.tensor([iterated(s / norm) for s in (3.0, 2.0, 0.5)])).double()
    turn = torch.linalg.qr(torch.randn(7, 7, generator=torch.Generator().manual_seed(0)))[
        0
    ].double()
    torch.testing.assert_close(
        orthogonalised(matrix @ turn), expected @ torch.eye(3, 7).double() @ turn
    )
    torch.testing.assert_close(orthogonalised((matrix @ turn).T), orthogonalised(matrix @ turn).T)


@pytest.mark.parametrize("shape", [(8, 8), (64, 576), (64, 24)])
def test_steps_are_about_orthogonal(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalised(matrix))
    assert 0.65 < values.min() <= values.max() < 1.25


def test_a_gradient_of_nothing_is_no_step():
    assert not orthogonalised(torch.zeros(5, 9)).any()


def test_two_steps_of_a_matrix_by_hand():
    weights = torch.zeros(10, 5, requires_grad=True)
    optimizer = muon([weights], weight_decay=0.0)
    total = 0.0
    for gradient in (1.0, 2.0):  # the length does not matter
        weights.grad = gradient * torch.eye(10, 5)
        optimizer.step()
        # Five equal singular values: each is 5^-1/2 of the norm. Ten rows over five columns: 2^1/2.
        total -= 0.01 * 5 * 2**0.5 * iterated(5**-0.5)
        torch.testing.assert_close(weights.detach(), total * torch.eye(10, 5))


def test_momentum_remembers_earlier_gradients():
    weights = torch.zeros(5, 5, requires_grad=True)
    optimizer = muon([weights], momentum=0.9, weight_decay=0.0)
    weights.grad = torch.eye(5)
    optimizer.step()
    before = weights.detach().clone()
    corner = torch.zeros(5, 5)
    corner[0, 0] = 1.0
    weights.grad = corner
    optimizer.step()
    # mean: 0.19 in the corner, 0.09 on the rest of the diagonal; Nesterov: 0.271 and 0.081.
    norm = (0.271**2 + 4 * 0.081**2) ** 0.5
    values = torch.tensor([iterated(0.271 / norm)] + [iterated(0.081 / norm)] * 4)
    torch.testing.assert_close(weights.detach() - before, -0.05 * torch.diag(values))


def test_weights_decay_by_their_own_rate():
    weights = torch.ones(5, 5, requires_grad=True)
    optimizer = muon([weights], weight_decay=0.2)
    weights.grad = torch.zeros(5, 5)
    optimizer.step()
    torch.testing.assert_close(weights.detach(), torch.full((5, 5), 1 - 0.05 * 0.2))


def test_everything_else_is_stepped_as_by_adamw():
    settings = {"lr": 0.01, "weight_decay": 0.1, "betas": (0.8, 0.9)}
    nets = network(), network()
    ours = muon(nets[0].parameters(), **settings)
    rest, matrices = ours.param_groups
    # The convolution of 8 to 6 channels: not the first, not the depthwise, not the last layer.
    assert [tuple(one.shape) for one in matrices["params"]] == [(6, 8, 1, 1)]
    assert (rest["lr"], matrices["lr"]) == (0.01, 0.05)
    theirs = torch.optim.AdamW(
        [p for p in nets[1].parameters() if p.shape[:2] != (6, 8)], **settings
    )
    train(nets[0], ours, 1)
    train(nets[1], theirs, 1)
    for (name, own), other in zip(nets[0].named_parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(own, other) == (name != "3.weight"), name


def test_it_learns_and_goes_on_from_its_state():
    net = network()
    first = train(net, optimizer := muon(net.parameters()), 1)
    train(net, optimizer, 30)
    again = network()
    again.load_state_dict(net.state_dict())
    resumed = muon(again.parameters())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    last = train(net, optimizer, 3, seed=5)
    assert train(again, resumed, 3, seed=5) == last < first / 2


def test_groups_keep_their_names_and_rates():
    groups = [
        {"params": (p for p in (torch.zeros(5, 5), torch.zeros(5))), "name": "a", "rate": 2.0},
        {"params": [torch.zeros(3)], "name": "b"},
    ]
    made = muon(groups, lr=0.1).param_groups
    assert [(g["name"], g.get("rate"), g["lr"], len(g["params"])) for g in made] == [
        ("a", 2.0, 0.1, 1), ("a_matrices", 2.0, 0.5, 1), ("b", None, 0.1, 1),
    ]  # fmt: skip
