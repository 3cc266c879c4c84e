import numpy as np
from recurra.keras.models import Sequential
from recurra.keras.layers import GRU, Dense

# Sample data
x_train = np.random.random((100, 10, 1))  # 100 samples, 10 time steps, 1 feature
y_train = np.random.random((100, 1))      # 100 target values

# Define GRU model
model = Sequential()
model.add(GRU(50, activation='tanh', input_shape=(10, 1)))
model.add(Dense(1))

# Compile model
model.compile(optimizer='adam', loss='mse')

# Train model
model.fit(x_train, y_train, epochs=10)
