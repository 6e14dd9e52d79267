"""Fits the heads: one for each fold, which judge what they never saw, and the one that is shipped."""

import numpy as np

import dataset
import head

L2 = 1e-2
ITERATIONS = 100
# Home photos are few and are what returned goods look like, photos of the five among them the fewest.
HOME, HOME_OURS = 2.0, 10.0
# All variations of a picture together count twice as much as the picture itself.
VARIATIONS = 2.0


class Training:
    def __init__(self, found):
        self.labels = dataset.CLASSES + dataset.negatives(found)
        self.y = np.array([self.labels.index(p.label) for p in found])
        self.source = np.array([p.source for p in found])
        self.fold = np.array(dataset.folds(found))
        self.ours = self.y < len(dataset.CLASSES)
        self.trainable = ~np.isin(self.source, ["val", "test"])
        home = self.source == "home"
        self.weight = np.where(home, HOME, 1.0) * np.where(home & self.ours, HOME_OURS, 1.0)

    def fit(self, features, chosen):
        x, views = features[chosen], features.shape[1]
        weight = np.repeat(self.weight[chosen, None], views, 1)
        weight[:, 1:] *= VARIATIONS / (views - 1)
        return head.fit(
            x.reshape(-1, x.shape[2]),
            np.repeat(self.y[chosen], views),
            weight.ravel(),
            len(self.labels),
            L2,
            ITERATIONS,
        )

    def shipped(self, features):
        return self.fit(features, self.trainable)

    def held_out(self, features):
        """Logits of every picture that has a fold, from the head that saw none of its fold.

        So each home photo is judged by a head that never saw its contributor, and each studio photo of
        something else by one that never saw its kind of article. The validation split is in no fit at all.
        """
        logits = np.zeros((len(self.y), len(self.labels)))
        for k in range(dataset.FOLDS):
            weight, bias = self.fit(features, self.trainable & (self.fold != k))
            judged = self.fold == k
            logits[judged] = features[judged, 0] @ weight.T + bias
        return logits
